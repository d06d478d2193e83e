//! What Twilio sends: parameters in a form body or a query, and our own place in the dialogue in the query.

use channel_sdk::e164::{self, Caller};
use channel_sdk::form_signature::is_form;
use channel_sdk::forms::{self, Form};
use channel_sdk::headers;
use channel_sdk::types::{Context, Request};

/// Header that is equal across the retries of one webhook.
const IDEMPOTENCY_TOKEN: &str = "i-twilio-idempotency-token";

/// Which question of ours the request answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// None yet.
    Start,
    Language,
    Menu,
    Reference,
    Number,
    Dial,
    Message,
}

impl Step {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Language => "language",
            Self::Menu => "menu",
            Self::Reference => "reference",
            Self::Number => "number",
            Self::Dial => "dial",
            Self::Message => "message",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Start, Self::Language, Self::Menu, Self::Reference, Self::Number, Self::Dial, Self::Message]
            .into_iter()
            .find(|step| step.name() == name)
    }
}

/// Where the call is. It travels in the query of the URLs we give, in lower case: Twilio's own names are in camel case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) step: Step,
    pub(crate) language: Option<String>,
    pub(crate) department: Option<String>,
    /// How often this question went unanswered.
    pub(crate) attempt: u32,
    /// Counts our answers within the call; absent when the URL is not one of ours.
    pub(crate) turn: Option<u32>,
}

impl State {
    fn read(form: &Form) -> Self {
        let number = |name: &str| form.filled(name).and_then(|value| value.parse::<u32>().ok());
        Self {
            step: form.filled("step").and_then(|step| Step::parse(&step)).unwrap_or(Step::Start),
            language: form.filled("lang"),
            department: form.filled("dept"),
            attempt: number("n").unwrap_or(0),
            turn: number("c"),
        }
    }

    /// The URL that brings the call back to us in this state, one turn later.
    pub(crate) fn url(&self, context: &Context, suffix: &str) -> String {
        let turn = self.turn.unwrap_or(0).saturating_add(1);
        let mut url = format!("{}{suffix}?step={}&c={turn}", context.public_url, self.step.name());
        if self.attempt > 0 {
            url.push_str(&format!("&n={}", self.attempt));
        }
        for (name, value) in [("lang", &self.language), ("dept", &self.department)] {
            if let Some(value) = value {
                url.push_str(&format!("&{name}={}", forms::encode_component(value)));
            }
        }
        url
    }
}

/// What kind of webhook it is, told by its parameters; the suffix only decides where they leave it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    /// A call wants TwiML: it has just come in, or was redirected after silence.
    Voice,
    /// Digits or speech of a `<Gather>`.
    Input,
    /// An unfinished speech result.
    PartialInput,
    /// A `<Dial>` is over.
    DialEnded,
    /// A recording, from the `<Record>` action or the recording status callback.
    Recording,
    /// Text of a recording.
    Transcription,
    /// An event of a `<Transcription>` during the call.
    LiveTranscription,
    /// A call's status callback.
    Status,
    /// Not a voice webhook.
    Foreign,
}

/// One webhook, read.
pub(crate) struct Webhook {
    form: Form,
    pub(crate) state: State,
    pub(crate) payload: Payload,
    idempotency_token: Option<String>,
}

impl Webhook {
    /// Reads a request. Whatever the bytes are, something comes out; [`Payload::Foreign`] if nothing else.
    pub(crate) fn read(request: &Request) -> Self {
        let mut form = Form::default();
        if request.method != "GET" && is_form(request) {
            form = Form::parse(&request.body).unwrap_or_default();
        }
        let query = Form::parse(request.query.as_deref().unwrap_or_default().as_bytes()).unwrap_or_default();
        let mut state = State::read(&query);
        if form.extend(query).is_err() {
            form = Form::default();
        }
        // The fallback URL is told which URL failed: the call goes on from there.
        if let Some(error_url) = form.filled("ErrorUrl")
            && let Some((_, query)) = error_url.split_once('?')
            && let Ok(query) = Form::parse(query.as_bytes())
            && state.turn.is_none()
        {
            state = State::read(&query);
        }
        let payload = payload(&form, request);
        let idempotency_token = headers::text(&request.headers, IDEMPOTENCY_TOKEN).filter(|token| !token.is_empty());
        Self { form, state, payload, idempotency_token }
    }

    /// A parameter's text as it came.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.form.get(name)
    }

    /// A parameter's trimmed text, if there is any.
    pub(crate) fn filled(&self, name: &str) -> Option<String> {
        self.form.filled(name)
    }

    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        self.filled(name).and_then(|value| value.parse().ok())
    }

    pub(crate) fn call_sid(&self) -> String {
        self.filled("CallSid").unwrap_or_default()
    }

    /// The citizen's call: a leg to a department has it as its parent.
    pub(crate) fn root_call(&self) -> String {
        self.filled("ParentCallSid").unwrap_or_else(|| self.call_sid())
    }

    pub(crate) fn caller(&self) -> Caller {
        e164::caller(&self.filled("From").or_else(|| self.filled("Caller")).unwrap_or_default())
    }

    pub(crate) fn is_inbound(&self) -> bool {
        self.filled("ParentCallSid").is_none()
            && self.filled("Direction").is_none_or(|direction| direction.eq_ignore_ascii_case("inbound"))
    }

    /// All parameters as text, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (String, String)> {
        self.form.pairs().iter().map(|pair| (forms::text(&pair.name), forms::text(&pair.value)))
    }

    /// What tells this answer of the caller from the others of the call, the same for every redelivery of it.
    pub(crate) fn turn_key(&self) -> String {
        if let Some(turn) = self.state.turn {
            return turn.to_string();
        }
        if let Some(token) = &self.idempotency_token {
            return token.clone();
        }
        // An operator's own TwiML has neither. FNV-1a: it must be stable over releases, not strong.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for pair in self.form.pairs() {
            for byte in pair.name.iter().chain(b"=").chain(&pair.value).chain(b"&") {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        format!("{hash:016x}")
    }
}

fn payload(form: &Form, request: &Request) -> Payload {
    let has = |name: &str| form.filled(name).is_some();
    if !has("CallSid") {
        return Payload::Foreign;
    }
    let terminal = matches!(
        form.filled("CallStatus").unwrap_or_default().as_str(),
        "completed" | "busy" | "failed" | "no-answer" | "canceled"
    );
    if has("TranscriptionEvent") {
        Payload::LiveTranscription
    } else if has("TranscriptionSid") || has("TranscriptionText") || has("TranscriptionStatus") {
        Payload::Transcription
    } else if has("DialCallStatus") {
        Payload::DialEnded
    } else if has("RecordingStatus") || has("RecordingSid") || has("RecordingUrl") {
        Payload::Recording
    } else if has("SpeechResult") || has("Digits") {
        Payload::Input
    } else if has("UnstableSpeechResult") || has("StableSpeechResult") {
        Payload::PartialInput
    } else if has("CallbackSource")
        || has("CallDuration")
        || terminal
        || request.suffix.trim_end_matches('/') == "/status"
    {
        Payload::Status
    } else {
        Payload::Voice
    }
}
