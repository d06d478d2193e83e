//! Webhooks to events.

use channel_sdk::time;
use channel_sdk::types::{Attachment, Context, Event, Handle, Kind, Request, Task, TextSource, Threading, Translation};
use serde_json::Value;

use crate::dialogue::{self, Turn};
use crate::wire::{Payload, Webhook};

/// Parameters that staff may want to see and that have no field of their own. `SipHeader_…` comes on top.
const FIELDS: [&str; 36] = [
    "Direction",
    "ForwardedFrom",
    "CalledVia",
    "StirVerstat",
    "FromCity",
    "FromState",
    "FromZip",
    "FromCountry",
    "ToCity",
    "ToState",
    "ToZip",
    "ToCountry",
    "SipDomain",
    "SipCallId",
    "SipResponseCode",
    "AnsweredBy",
    "FinishedOnKey",
    "ParentCallSid",
    "DialCallSid",
    "DialCallStatus",
    "DialSipResponseCode",
    "RecordingStatus",
    "RecordingSource",
    "RecordingTrack",
    "RecordingChannels",
    "RecordingErrorCode",
    "TranscriptionSid",
    "TranscriptionStatus",
    "TranscriptionEvent",
    "TranscriptionUrl",
    "Track",
    "ErrorCode",
    "ErrorUrl",
    "QueueResult",
    "CallbackSource",
    "SequenceNumber",
];

/// What the request says.
pub(crate) fn translate(request: &Request, context: &Context) -> Translation {
    let webhook = Webhook::read(request);
    let call = webhook.call_sid();
    let events = match webhook.payload {
        Payload::Foreign => {
            let why = "it has no CallSid, so it is no voice webhook; give this URL to voice numbers only";
            return Translation::Degraded((Vec::new(), why.into()));
        }
        Payload::PartialInput => Vec::new(),
        Payload::Voice => voice(&webhook, context, &call),
        Payload::Input => vec![input(&webhook, context)],
        Payload::DialEnded => vec![dial_ended(&webhook)],
        Payload::Recording => recording(&webhook),
        Payload::Transcription => vec![transcription(&webhook)],
        Payload::LiveTranscription => live_transcription(&webhook),
        Payload::Status => vec![status(&webhook, &call)],
    };
    Translation::Events(events)
}

fn base(webhook: &Webhook, kind: Kind, key: String) -> Event {
    let mut event = Event::new(kind, key);
    let root = webhook.root_call();
    event.timestamp = webhook.filled("Timestamp").and_then(|time| time::parse(&time));
    event.recipient = webhook.filled("To").or_else(|| webhook.filled("Called"));
    event.event_id = Some(webhook.call_sid());
    event.call_id = Some(root.clone());
    // A leg of ours, or a call we made, belongs to a case that is there already.
    event.threading = if webhook.is_inbound() { Threading::Key(root) } else { Threading::Existing(root) };
    if webhook.is_inbound() {
        event.sender = webhook.caller().handle();
        event.sender_name = webhook.filled("CallerName");
        // Recording and transcription callbacks say nothing of the caller, which is not the same.
        if event.sender.is_none() && (webhook.get("From").is_some() || webhook.get("Caller").is_some()) {
            event.flags.push("withheld".into());
        }
    }
    event.fields = webhook
        .all()
        .filter(|(name, value)| {
            !value.is_empty() && (FIELDS.contains(&name.as_str()) || name.starts_with("SipHeader_"))
        })
        .collect();
    // In JSON they are an object: this is its order.
    event.fields.sort_by(|one, other| one.0.cmp(&other.0));
    event
}

/// The word a status has for the provider.
fn word(webhook: &Webhook, name: &str) -> Option<String> {
    webhook.filled(name)
}

fn voice(webhook: &Webhook, context: &Context, call: &str) -> Vec<Event> {
    match dialogue::turn(webhook, context) {
        Turn::Arrived if webhook.is_inbound() => {
            let mut event = base(webhook, Kind::CallStarted, format!("{call}/call.started"));
            event.status = word(webhook, "CallStatus");
            vec![event]
        }
        // Silence at a question is no fact worth a row.
        _ => Vec::new(),
    }
}

fn input(webhook: &Webhook, context: &Context) -> Event {
    let mut event = base(webhook, Kind::CallInput, format!("{}/call.input/{}", webhook.call_sid(), webhook.turn_key()));
    event.dtmf = webhook.filled("Digits");
    if let Some(speech) = webhook.filled("SpeechResult") {
        event.text = Some(speech);
        event.text_source = Some(TextSource::Speech);
        event.confidence = confidence(webhook.filled("Confidence"));
        event.language = webhook.filled("Language").or_else(|| webhook.state.language.clone());
    }
    match dialogue::turn(webhook, context) {
        Turn::Language(tag) => event.language = Some(tag.to_owned()),
        Turn::Department(department) => event.department = Some(department.code.clone()),
        Turn::CallBack if !dialogue::is_withheld(webhook) => event.task = Some(Task::CallBack),
        Turn::Reference(reference) => event.asks_about = Some(reference),
        Turn::Number(number) => {
            event.claimed.push(Handle { scheme: "phone".into(), value: number });
            event.task = Some(Task::CallBack);
        }
        _ => {}
    }
    event
}

/// 0 to 1; anything else is not a confidence.
fn confidence(text: Option<String>) -> Option<f64> {
    text.and_then(|text| text.parse::<f64>().ok()).filter(|value| (0.0..=1.0).contains(value))
}

fn dial_ended(webhook: &Webhook) -> Event {
    let attended = matches!(webhook.filled("DialCallStatus").as_deref(), Some("completed" | "answered"));
    let kind = if attended { Kind::Status } else { Kind::CallMissed };
    let mut event = base(webhook, kind, format!("{}/dial/{}", webhook.call_sid(), webhook.turn_key()));
    event.status = word(webhook, "DialCallStatus");
    event.duration_s = webhook.number("DialCallDuration");
    event.department = webhook.state.department.clone();
    if !attended {
        event.task = Some(Task::CallBack);
        // The caller's own leg is over: hung up while it rang.
        if webhook.filled("CallStatus").as_deref() == Some("completed") {
            event.flags.push("abandoned".into());
        }
    }
    event
}

/// The `<Record>` action and the status callback tell of the same recording: whichever comes first is stored.
fn recording(webhook: &Webhook) -> Vec<Event> {
    let id = webhook.filled("RecordingSid").or_else(|| webhook.filled("RecordingUrl")).unwrap_or_default();
    let key = format!("{}/call.recording/{id}", webhook.root_call());
    match webhook.filled("RecordingStatus").as_deref() {
        None | Some("completed") => {}
        Some("in-progress" | "processing" | "paused") => return Vec::new(),
        // `absent`: nothing but silence; `failed`: Twilio's fault.
        Some(other) => {
            let mut event = base(webhook, Kind::Status, format!("{key}/{other}"));
            event.status = Some(other.to_owned());
            event.recording_id = webhook.filled("RecordingSid");
            return vec![event];
        }
    }
    let mut event = base(webhook, Kind::CallRecording, key);
    event.timestamp = webhook.filled("RecordingStartTime").and_then(|time| time::parse(&time)).or(event.timestamp);
    event.recording_id = webhook.filled("RecordingSid");
    event.event_id = event.recording_id.clone();
    event.duration_s = webhook.number("RecordingDuration");
    event.department = webhook.state.department.clone();
    event.task = Some(Task::Review);
    event.attachments.push(Attachment {
        name: None,
        // Without an extension the URL gives a WAV file.
        content_type: Some("audio/wav".into()),
        size: None,
        sha256: None,
        url: webhook.filled("RecordingUrl"),
        media_id: webhook.filled("RecordingSid"),
        content_id: None,
        disposition: Some("attachment".into()),
    });
    vec![event]
}

fn transcription(webhook: &Webhook) -> Event {
    let id = webhook.filled("TranscriptionSid").or_else(|| webhook.filled("RecordingSid")).unwrap_or_default();
    let mut event = base(webhook, Kind::CallTranscript, format!("{}/call.transcript/{id}", webhook.root_call()));
    event.event_id = webhook.filled("TranscriptionSid");
    event.recording_id = webhook.filled("RecordingSid");
    event.status = word(webhook, "TranscriptionStatus");
    event.department = webhook.state.department.clone();
    if let Some(text) = webhook.filled("TranscriptionText") {
        event.text = Some(text);
        event.text_source = Some(TextSource::Speech);
    }
    event
}

fn live_transcription(webhook: &Webhook) -> Vec<Event> {
    let what = webhook.filled("TranscriptionEvent").unwrap_or_default();
    let id = webhook.filled("TranscriptionSid").unwrap_or_default();
    let sequence = webhook.filled("SequenceId").unwrap_or_else(|| webhook.turn_key());
    let call = webhook.root_call();
    match what.as_str() {
        "transcription-content" if webhook.filled("Final").as_deref() == Some("false") => Vec::new(),
        "transcription-content" => {
            let mut event = base(webhook, Kind::CallTranscript, format!("{call}/call.transcript/{id}/{sequence}"));
            event.event_id = webhook.filled("TranscriptionSid");
            event.language = webhook.filled("LanguageCode");
            let data = webhook.get("TranscriptionData").unwrap_or_default();
            let (text, confidence) = transcript(&data);
            event.confidence = confidence;
            event.text = text;
            event.text_source = event.text.is_some().then_some(TextSource::Speech);
            vec![event]
        }
        "transcription-error" => {
            let mut event = base(webhook, Kind::Status, format!("{call}/{what}/{id}/{sequence}"));
            event.status = Some(what);
            vec![event]
        }
        _ => Vec::new(),
    }
}

/// `{"transcript": "…", "confidence": 0.9}`; text that is no such JSON is the transcript itself.
fn transcript(data: &str) -> (Option<String>, Option<f64>) {
    let spoken = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    match serde_json::from_str::<Value>(data) {
        Ok(value) if value.is_object() => {
            let confidence =
                value.get("confidence").and_then(Value::as_f64).filter(|value| (0.0..=1.0).contains(value));
            (value.get("transcript").and_then(Value::as_str).and_then(spoken), confidence)
        }
        _ => (spoken(data), None),
    }
}

fn status(webhook: &Webhook, call: &str) -> Event {
    let status = webhook.filled("CallStatus").unwrap_or_else(|| "unknown".into());
    let (kind, key) = match status.as_str() {
        _ if !webhook.is_inbound() => (Kind::Status, format!("status/{status}")),
        // The same fact as the voice webhook's, hence the same key.
        "queued" | "initiated" | "ringing" => (Kind::CallStarted, "call.started".into()),
        "completed" => (Kind::CallEnded, "call.ended".into()),
        "busy" | "no-answer" | "canceled" | "failed" => (Kind::CallMissed, "call.missed".into()),
        _ => (Kind::Status, format!("status/{status}")),
    };
    let mut event = base(webhook, kind, format!("{call}/{key}"));
    event.duration_s = webhook.number("CallDuration");
    if kind == Kind::CallMissed {
        event.task = Some(Task::CallBack);
        if status == "canceled" {
            event.flags.push("abandoned".into());
        }
    }
    event.status = Some(status);
    event
}
