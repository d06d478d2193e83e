//! Reports to events.

use channel_sdk::types::{Context, Event, Kind, Request, Task, TextSource, Threading, Translation};

use crate::wire::{Report, What};

/// Members that staff may want to see and that have no field of their own, in the order of a JSON object.
const FIELDS: [&str; 10] =
    ["body_base64", "code", "content_type", "from", "pai", "privacy", "reason", "ruri", "source_ip", "to"];

pub(crate) fn translate(request: &Request, context: &Context) -> Translation {
    let report = match Report::read(request) {
        Ok(report) => report,
        Err(why) => return Translation::Degraded((Vec::new(), why.into())),
    };
    let event = event(&report, context);
    if report.text("body_base64").is_some() {
        return Translation::Degraded((vec![event], "the message is not UTF-8; its bytes are in body_base64".into()));
    }
    Translation::Events(vec![event])
}

fn event(report: &Report, context: &Context) -> Event {
    let (kind, key) = match report.what {
        What::Invite => (Kind::CallStarted, "call.started".to_owned()),
        What::Cancel | What::NoAnswer | What::Busy | What::Refused => (Kind::CallMissed, "call.missed".to_owned()),
        What::Answered => (Kind::Status, "answered".to_owned()),
        What::Bye => (Kind::CallEnded, "call.ended".to_owned()),
        // Several messages may share a Call-ID; CSeq counts them (RFC 3428 §8).
        What::Message => (Kind::Message, format!("message/{}", report.text("cseq").unwrap_or_default())),
    };
    let call = report.scoped_call_id();
    let mut event = Event::new(kind, format!("{call}/{key}"));
    event.threading = Threading::Key(call);
    event.timestamp = report.time();
    let (sender, is_vouched_for) = report.caller(context);
    if sender.is_none() {
        event.flags.push("withheld".into());
    } else if !is_vouched_for {
        event.flags.push("unverified_number".into());
    }
    event.sender = sender;
    event.sender_name = report.caller_name();
    event.recipient = report.dialled();
    event.call_id = Some(report.call_id.clone());
    event.department = report.department(context).map(|department| department.code.clone());
    event.fields = FIELDS.iter().filter_map(|name| Some(((*name).to_owned(), report.text(name)?))).collect();
    match report.what {
        What::Invite => {}
        What::Cancel => {
            event.status = Some("cancel".into());
            event.flags.push("abandoned".into());
        }
        What::NoAnswer => event.status = Some("no-answer".into()),
        What::Busy => event.status = Some("busy".into()),
        What::Refused => event.status = Some("refused".into()),
        What::Answered => event.status = Some("answered".into()),
        What::Bye => event.duration_s = report.number("duration"),
        What::Message => {
            event.text = report.text("body");
            let media = report.text("content_type").unwrap_or_default().to_ascii_lowercase();
            let source = if media.starts_with("text/html") { TextSource::Html } else { TextSource::Plain };
            event.text_source = event.text.is_some().then_some(source);
        }
    }
    if kind == Kind::CallMissed {
        event.task = Some(Task::CallBack);
    }
    event
}
