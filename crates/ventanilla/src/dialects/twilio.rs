//! Twilio Voice as a caller meets it: signed form posts, and TwiML walked verb by verb.
//!
//! Signature: base64(HMAC-SHA1(auth token, URL followed by every parameter's name and value, sorted by name)), in
//! `X-Twilio-Signature` (Twilio, "Webhooks security"). TwiML: <https://www.twilio.com/docs/voice/twiml>.

use super::{Act, Conversation, Dialect, Heard, Line};
use crate::client::{Http, percent};
use crate::failure::failure;
use anyhow::{Context, Result, bail};
use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use roxmltree::{Document, Node};
use sha1::Sha1;
use std::collections::VecDeque;

/// A document is fetched at most so often in one call: a menu that redirects to itself ends.
const MAX_DOCUMENTS: u32 = 200;

/// The provider.
pub(crate) struct Twilio;

impl Dialect for Twilio {
    fn connector(&self) -> &'static str {
        "telephony/twilio"
    }

    fn secret_setting(&self) -> &'static str {
        "auth_token"
    }

    fn first_suffix(&self) -> &'static str {
        "/voice"
    }

    fn dial(&self, line: Line) -> Result<Box<dyn Conversation>> {
        let mut call = Call::new(line)?;
        let url = call.line.webhook.clone();
        call.fetch(&url, "POST", &[])?;
        Ok(Box::new(call))
    }

    /// A status of a call that never was: it belongs to no case, and told again it is the same one.
    fn probe(&self, http: &Http, url: &str, secret: &str) -> Option<Result<u16>> {
        let parameters = owned(&[
            ("AccountSid", "AC00000000000000000000000000000000"),
            ("CallSid", "CA00000000000000000000000000000000"),
            ("CallStatus", "ringing"),
            ("CallbackSource", "call-progress-events"),
            // The status of a call that we made looks for its case and opens none.
            ("Direction", "outbound-api"),
            ("From", "anonymous"),
            ("SequenceNumber", "0"),
            ("To", "anonymous"),
        ]);
        Some(post(http, &format!("{url}/status"), secret, &parameters).map(|(status, _)| status))
    }
}

type Parameters = Vec<(String, String)>;

fn owned(parameters: &[(&str, &str)]) -> Parameters {
    parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The value of `X-Twilio-Signature`.
fn sign(secret: &str, url: &str, parameters: &Parameters) -> Result<String> {
    let mut sorted = parameters.clone();
    sorted.sort();
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes())?;
    mac.update(url.as_bytes());
    for (name, value) in &sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    Ok(base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes()))
}

fn post(http: &Http, url: &str, secret: &str, parameters: &Parameters) -> Result<(u16, String)> {
    let body: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect();
    let signature = sign(secret, url, parameters)?;
    let headers = [
        ("content-type", "application/x-www-form-urlencoded; charset=UTF-8"),
        ("x-twilio-signature", signature.as_str()),
        ("i-twilio-idempotency-token", signature.as_str()),
    ];
    let reply = http.send("POST", url, &headers, Some(body.join("&").as_bytes()))?;
    match reply.status {
        200..300 => {}
        401 | 403 => return Ok((reply.status, reply.detail())),
        404 => return Err(failure(format!("{url}: {} (404)", reply.detail()), "correct the URL or the tenant")),
        _ => {}
    }
    let text = String::from_utf8(reply.body).context("the answer is not UTF-8")?;
    Ok((reply.status, text))
}

/// A step of the document that was fetched last.
#[derive(Clone, Debug)]
enum Verb {
    Say(Heard),
    Gather { action: String, method: String, digits: bool, speech: bool, language: String, always: bool },
    Record { action: String, method: String, transcribe: Option<String> },
    Dial { number: String, action: Option<String>, method: String },
    Redirect { url: String, method: String },
    Hangup,
}

struct Call {
    line: Line,
    http: Http,
    id: String,
    /// URL of the document in force: relative URLs are relative to it.
    at: String,
    verbs: VecDeque<Verb>,
    /// What waits for an act.
    asked: Option<Verb>,
    documents: u32,
    begun: std::time::Instant,
    over: bool,
}

impl Call {
    fn new(line: Line) -> Result<Call> {
        let id = format!("CA{}", &crate::state::secret()?.chars().take(32).collect::<String>());
        Ok(Call {
            at: line.webhook.clone(),
            line,
            http: Http::new(),
            id,
            verbs: VecDeque::new(),
            asked: None,
            documents: 0,
            begun: std::time::Instant::now(),
            over: false,
        })
    }

    /// What every request about this call has.
    fn parameters(&self, status: &str, more: &[(&str, &str)]) -> Parameters {
        let from = if self.line.from.is_empty() { "anonymous" } else { &self.line.from };
        let mut parameters = owned(&[
            ("AccountSid", "AC00000000000000000000000000000000"),
            ("ApiVersion", "2010-04-01"),
            ("CallSid", &self.id),
            ("CallStatus", status),
            ("Called", &self.line.to),
            ("Caller", from),
            ("Direction", "inbound"),
            ("From", from),
            ("To", &self.line.to),
        ]);
        parameters.extend(owned(more));
        parameters
    }

    /// Asks for the next document and reads it.
    fn fetch(&mut self, url: &str, method: &str, more: &[(&str, &str)]) -> Result<()> {
        self.documents += 1;
        if self.documents > MAX_DOCUMENTS {
            bail!("the application redirected {MAX_DOCUMENTS} times; the call is given up");
        }
        if !method.eq_ignore_ascii_case("POST") {
            bail!("the application asks for {method}; this caller posts only");
        }
        let url = resolve(&self.at, url)?;
        let status = if self.documents == 1 { "ringing" } else { "in-progress" };
        let (status, body) = post(&self.http, &url, &self.line.secret, &self.parameters(status, more))?;
        match status {
            200..300 => {}
            401 | 403 => {
                return Err(failure(
                    format!("{url} refused the signature ({status}): {body}"),
                    "sign with the connector's secret (--secret or VENTANILLA_SECRET); the URL must be its public_url",
                ));
            }
            _ => bail!("{url} answered {status}: {}", crate::output::shorten(&body, 300)),
        }
        self.at = url;
        self.verbs =
            read(&body, &self.at).with_context(|| format!("{} answered something that is not TwiML", self.at))?;
        Ok(())
    }

    /// The status callback that Twilio posts when a call ends.
    fn end(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.over, true) {
            return Ok(());
        }
        let seconds = self.begun.elapsed().as_secs().max(1).to_string();
        let url = match self.line.webhook.strip_suffix("/voice") {
            Some(base) => format!("{base}/status"),
            None => self.line.webhook.clone(),
        };
        let more =
            [("CallDuration", seconds.as_str()), ("CallbackSource", "call-progress-events"), ("SequenceNumber", "0")];
        let (status, body) = post(&self.http, &url, &self.line.secret, &self.parameters("completed", &more))?;
        if !(200..300).contains(&status) {
            bail!("{url} answered the end of the call with {status}: {}", crate::output::shorten(&body, 300));
        }
        Ok(())
    }
}

impl Conversation for Call {
    fn id(&self) -> &str {
        &self.id
    }

    fn hear(&mut self) -> Result<Heard> {
        loop {
            let Some(verb) = self.verbs.pop_front() else {
                self.end()?;
                return Ok(Heard::HungUp);
            };
            let heard = match &verb {
                Verb::Say(heard) => return Ok(heard.clone()),
                Verb::Redirect { url, method } => {
                    self.fetch(&url.clone(), &method.clone(), &[])?;
                    continue;
                }
                Verb::Hangup => {
                    self.verbs.clear();
                    continue;
                }
                Verb::Gather { digits, speech, .. } => Heard::Asked { digits: *digits, speech: *speech },
                Verb::Record { .. } => Heard::Beep,
                Verb::Dial { number, .. } => Heard::PutThrough(number.clone()),
            };
            self.asked = Some(verb);
            return Ok(heard);
        }
    }

    fn act(&mut self, act: Act) -> Result<()> {
        let asked = self.asked.take();
        if act == Act::HangUp {
            self.verbs.clear();
            return Ok(());
        }
        match (asked, act) {
            (Some(Verb::Gather { action, method, .. }), Act::Press(digits)) => {
                self.fetch(&action, &method, &[("Digits", &digits)])
            }
            (Some(Verb::Gather { action, method, language, .. }), Act::Say(text)) => {
                let more = [("SpeechResult", text.as_str()), ("Confidence", "0.92"), ("Language", language.as_str())];
                self.fetch(&action, &method, &more)
            }
            (Some(Verb::Gather { action, method, always: true, .. }), Act::Wait) => self.fetch(&action, &method, &[]),
            (Some(Verb::Record { action, method, transcribe }), Act::Say(text)) => {
                let sid = format!("RE{}", self.id.trim_start_matches("CA"));
                let seconds = (text.split_whitespace().count() / 2 + 1).to_string();
                let link = format!(
                    "https://api.twilio.com/2010-04-01/Accounts/AC00000000000000000000000000000000/Recordings/{sid}"
                );
                let more = [
                    ("RecordingSid", sid.as_str()),
                    ("RecordingUrl", &link),
                    ("RecordingDuration", &seconds),
                    ("Digits", "#"),
                ];
                self.fetch(&action, &method, &more)?;
                match transcribe {
                    Some(url) => {
                        let url = resolve(&self.at, &url)?;
                        let more = [
                            ("RecordingSid", sid.as_str()),
                            ("RecordingUrl", &link),
                            ("TranscriptionSid", "TR00000000000000000000000000000000"),
                            ("TranscriptionStatus", "completed"),
                            ("TranscriptionText", &text),
                        ];
                        post(&self.http, &url, &self.line.secret, &self.parameters("in-progress", &more)).map(|_| ())
                    }
                    None => Ok(()),
                }
            }
            (Some(Verb::Dial { action, method, .. }), Act::Dialled(status)) => match action {
                Some(action) if status == "completed" => {
                    self.fetch(&action, &method, &[("DialCallStatus", &status), ("DialCallDuration", "42")])
                }
                Some(action) => self.fetch(&action, &method, &[("DialCallStatus", &status)]),
                None => Ok(()),
            },
            // Silence: the document goes on after the question.
            _ => Ok(()),
        }
    }
}

/// A URL in a document, relative to the document's own.
fn resolve(base: &str, url: &str) -> Result<String> {
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(url.to_owned());
    }
    let (scheme, rest) = base.split_once("://").with_context(|| format!("{base:?} is not a URL"))?;
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    if url.starts_with('/') {
        return Ok(format!("{scheme}://{authority}{url}"));
    }
    let without_query = base.split('?').next().unwrap_or(base);
    if url.is_empty() {
        return Ok(base.to_owned());
    }
    if url.starts_with('?') {
        return Ok(format!("{without_query}{url}"));
    }
    let folder = without_query.rsplit_once('/').map_or(without_query, |(folder, _)| folder);
    Ok(format!("{folder}/{url}"))
}

/// Reads a TwiML document.
fn read(text: &str, at: &str) -> Result<VecDeque<Verb>> {
    let document = Document::parse(text)?;
    let root = document.root_element();
    if root.tag_name().name() != "Response" {
        bail!("the document's root is <{}>, not <Response>", root.tag_name().name());
    }
    let mut verbs = VecDeque::new();
    for node in root.children().filter(Node::is_element) {
        let attribute = |name: &str| node.attribute(name).map(str::to_owned);
        let method = attribute("method").unwrap_or_else(|| "POST".into());
        let action = attribute("action").unwrap_or_else(|| at.to_owned());
        match node.tag_name().name() {
            "Gather" => {
                verbs.extend(node.children().filter_map(spoken).map(Verb::Say));
                let input = attribute("input").unwrap_or_else(|| "dtmf".into());
                verbs.push_back(Verb::Gather {
                    action,
                    method,
                    digits: input.contains("dtmf"),
                    speech: input.contains("speech"),
                    language: attribute("language").unwrap_or_else(|| "en-US".into()),
                    always: attribute("actionOnEmptyResult").as_deref() == Some("true"),
                });
            }
            "Record" => verbs.push_back(Verb::Record {
                action,
                method,
                transcribe: attribute("transcribeCallback")
                    .filter(|_| attribute("transcribe").as_deref() == Some("true")),
            }),
            "Dial" => {
                let inner = node.children().find(Node::is_element);
                let number = inner.and_then(|n| n.text()).or(node.text()).unwrap_or_default().trim().to_owned();
                verbs.push_back(Verb::Dial { number, action: attribute("action"), method });
            }
            "Redirect" => {
                verbs.push_back(Verb::Redirect { url: node.text().unwrap_or_default().trim().to_owned(), method });
            }
            "Hangup" | "Reject" => verbs.push_back(Verb::Hangup),
            "Pause" => {}
            _ => match spoken(node) {
                Some(heard) => verbs.push_back(Verb::Say(heard)),
                None => bail!("verb <{}> is not one this caller knows", node.tag_name().name()),
            },
        }
    }
    Ok(verbs)
}

fn spoken(node: Node<'_, '_>) -> Option<Heard> {
    let text: String = node.descendants().filter(Node::is_text).filter_map(|n| n.text()).collect();
    match node.tag_name().name() {
        "Say" => Some(Heard::Said {
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
            language: node.attribute("language").map(str::to_owned),
        }),
        "Play" => Some(Heard::Played(node.attribute("digits").map_or(text, str::to_owned))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_the_providers_documentation() {
        // Twilio, "Webhooks security", the example with auth token 12345.
        let parameters = owned(&[
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
        ]);
        let signature = sign("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", &parameters).unwrap();
        assert_eq!(signature, "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
    }

    #[test]
    fn urls_of_a_document_are_relative_to_it() {
        let base = "https://a.example:8443/telephony/x/voice?y=1";
        for (url, expected) in [
            ("https://b.example/z", "https://b.example/z"),
            ("/z", "https://a.example:8443/z"),
            ("z?q=1", "https://a.example:8443/telephony/x/z?q=1"),
            ("?q=2", "https://a.example:8443/telephony/x/voice?q=2"),
            ("", base),
        ] {
            assert_eq!(resolve(base, url).unwrap(), expected);
        }
    }

    #[test]
    fn a_document_becomes_what_is_heard_and_asked() {
        let verbs = read(
            r#"<?xml version="1.0"?><Response><Say language="es-ES">Hola, <prosody>buenos</prosody> días</Say>
               <Gather input="dtmf speech" action="/menu" actionOnEmptyResult="true"><Say>Pulse 1</Say><Pause/></Gather>
               <Dial action="/done"><Sip>sip:a@b.example</Sip></Dial><Redirect>/again</Redirect><Hangup/></Response>"#,
            "https://a.example/voice",
        )
        .unwrap();
        let shown: Vec<String> = verbs.iter().map(|verb| format!("{verb:?}")).collect();
        assert_eq!(verbs.len(), 6, "{shown:?}");
        assert!(shown[0].contains("Hola, buenos días") && shown[0].contains("es-ES"), "{shown:?}");
        assert!(shown[2].contains("digits: true, speech: true") && shown[2].contains("always: true"), "{shown:?}");
        assert!(shown[3].contains("sip:a@b.example") && shown[4].contains("/again"), "{shown:?}");
    }

    #[test]
    fn what_is_no_twiml_is_an_error() {
        for text in ["", "<html/>", "<Response><Dance/></Response>", "<Response>"] {
            assert!(read(text, "https://a.example/").is_err(), "{text}");
        }
    }
}
