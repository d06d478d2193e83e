//! What a verified delivery means. Absent stays absent, ids stay strings, what can't be understood is said and kept.

use channel_sdk::batch::Batch;
use channel_sdk::json_access::{self, Pick};
use channel_sdk::types::{Event, Handle, Kind, Request, TextSource, Threading, Translation};
use serde_json::Value;

use crate::wire::{CONVERSATION, FROM, ID, TEXT, TIME};

/// The events of one delivery. One that is wrong does not take the good ones with it.
pub(crate) fn translate(request: &Request) -> Translation {
    let mut batch = Batch::new();
    match json_access::parse(&request.body) {
        Err(problem) => batch.problem("body", &problem),
        Ok(message) => match event(&message) {
            Ok(event) => batch.push(event),
            Err(problem) => batch.problem("message", problem),
        },
    }
    batch.finish()
}

fn event(message: &Value) -> Result<Event, &'static str> {
    let id = message.id(ID).ok_or("has no id")?;
    let mut event = Event::new(Kind::Message, id.clone());
    event.message_id = Some(id);
    event.timestamp = message.instant(TIME);
    event.sender = message.id(FROM).map(|value| Handle { scheme: "account".into(), value });
    event.text = message.text(TEXT);
    event.text_source = event.text.is_some().then_some(TextSource::Plain);
    event.conversation_id = message.id(CONVERSATION);
    if let Some(conversation) = &event.conversation_id {
        event.threading = Threading::Key(conversation.clone());
    }
    Ok(event)
}
