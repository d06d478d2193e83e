//! A form is a message (`SmsStatus=received`) or the status of one of ours (`MessageStatus`).

use channel_sdk::batch::Batch;
use channel_sdk::form_signature::signed_form;
use channel_sdk::forms::Form;
use channel_sdk::types::{Attachment, Event, Handle, Kind, Location, Request, TextSource, Threading, Translation};

use crate::wire::{Network, address, conversation, handle};

/// MMS and RCS carry ten; a number beyond this is no number of media.
const MAX_MEDIA: usize = 50;

/// What else Twilio says that staff may want.
const FIELDS: [&str; 17] = [
    "ErrorCode",
    "ErrorMessage",
    "Forwarded",
    "FrequentlyForwarded",
    "FromCity",
    "FromCountry",
    "FromState",
    "FromZip",
    "Label",
    "MessageType",
    "MessagingServiceSid",
    "OptOutType",
    "ProfileName",
    "RawDlrDoneDate",
    "ReferralHeadline",
    "ReferralSourceUrl",
    "WaId",
];

/// What a verified webhook means.
pub(crate) fn translate(request: &Request) -> Translation {
    let mut batch = Batch::new();
    match signed_form(request) {
        Err(problem) => batch.problem("body", &problem.to_string()),
        Ok(form) => match form.filled("MessageSid").or_else(|| form.filled("SmsSid")) {
            None => batch.problem("form", "has no MessageSid: is this another product's webhook?"),
            Some(sid) => match status_of(&form) {
                Some(word) => batch.push(status(&form, &sid, word)),
                None => message(&form, &sid, &mut batch),
            },
        },
    }
    batch.finish()
}

/// The state of a message of ours; none if this is a message to us.
fn status_of(form: &Form) -> Option<String> {
    let ours = |word: &String| !matches!(word.as_str(), "received" | "receiving");
    form.filled("MessageStatus").or_else(|| form.filled("SmsStatus")).filter(ours)
}

fn new(kind: Kind, key: String, form: &Form, sid: &str) -> Event {
    let mut event = Event::new(kind, key);
    event.message_id = Some(sid.into());
    let filled = FIELDS.iter().filter_map(|name| Some(((*name).to_owned(), form.filled(name)?)));
    event.fields = filled.collect();
    event
}

fn status(form: &Form, sid: &str, word: String) -> Event {
    let mut event = new(Kind::Status, format!("{sid}:{word}"), form, sid);
    event.status = Some(word);
    event.must_not_autorespond = true;
    let (ours, theirs) = (form.filled("From"), form.filled("To"));
    event.recipient = theirs.as_deref().and_then(handle).map(|handle| handle.value);
    if let (Some(ours), Some(theirs)) = (ours, theirs) {
        let conversation = conversation(&ours, &theirs);
        event.conversation_id = Some(conversation.clone());
        event.threading = Threading::Existing(conversation);
    }
    event
}

fn message(form: &Form, sid: &str, batch: &mut Batch) {
    let (from, to) = (form.filled("From").unwrap_or_default(), form.filled("To").unwrap_or_default());
    let Some(sender) = handle(&from) else {
        batch.problem("From", "is missing");
        return;
    };
    let mut event = new(Kind::Message, sid.into(), form, sid);
    let conversation = conversation(&to, &from);
    event.claimed = claimed(form, &from, &sender);
    event.sender = Some(sender);
    event.sender_name = form.filled("ProfileName");
    event.recipient = handle(&to).map(|handle| handle.value);
    event.in_reply_to = form.filled("OriginalRepliedMessageSid");
    event.conversation_id = Some(conversation.clone());
    event.threading = Threading::Key(conversation.clone());
    event.text = form.get("Body").filter(|body| !body.trim().is_empty());
    event.text_source = event.text.is_some().then_some(TextSource::Plain);
    pressed(form, &mut event);
    if let Some(kind) = form.filled("OptOutType") {
        // Twilio has answered it, and blocks or unblocks the number itself. Who asks for help is still heard.
        event.must_not_autorespond = true;
        let (flag, opens) = match kind.to_ascii_uppercase().as_str() {
            "STOP" => ("opt_out", false),
            "START" => ("opt_in", false),
            "HELP" => ("opt_help", true),
            _ => ("opt_other", true),
        };
        event.flags.push(flag.into());
        if !opens {
            event.threading = Threading::Existing(conversation);
        }
    }
    media(form, &mut event, batch);
    place(form, &mut event, batch);
    batch.push(event);
}

/// The WhatsApp user id beside a number.
fn claimed(form: &Form, from: &str, sender: &Handle) -> Vec<Handle> {
    let id = form.filled("ExternalUserIdentifier").filter(|_| address(from).0 == Network::WhatsApp);
    let id = id.map(|id| Handle { scheme: "whatsapp".into(), value: address(&id).1.to_owned() });
    id.filter(|id| id != sender && !id.value.is_empty()).into_iter().collect()
}

/// A button or a list entry of a message of ours.
fn pressed(form: &Form, event: &mut Event) {
    let choices = [("ButtonText", "ButtonPayload"), ("ListTitle", "ListId")];
    for (text, payload) in choices {
        let (text, payload) = (form.filled(text), form.filled(payload));
        if text.is_none() && payload.is_none() {
            continue;
        }
        event.kind = Kind::Callback;
        event.text = text.or(event.text.take());
        event.text_source = event.text.is_some().then_some(TextSource::Plain);
        event.fields.extend(payload.map(|payload| ("payload".to_owned(), payload)));
    }
}

fn media(form: &Form, event: &mut Event, batch: &mut Batch) {
    let count = match form.filled("NumMedia").map(|count| count.parse::<usize>()) {
        None => 0,
        Some(Ok(count)) if count <= MAX_MEDIA => count,
        Some(_) => {
            batch.problem("NumMedia", "is no number of media");
            MAX_MEDIA
        }
    };
    let mut missing = false;
    for index in 0..count {
        let Some(url) = form.filled(&format!("MediaUrl{index}")) else {
            missing = true;
            continue;
        };
        let content_type = form.filled(&format!("MediaContentType{index}"));
        let media_id = url.rsplit('/').next().filter(|id| id.starts_with("ME")).map(str::to_owned);
        event.attachments.push(Attachment {
            name: None,
            content_type,
            size: None,
            sha256: None,
            url: Some(url),
            media_id,
            content_id: None,
            disposition: None,
        });
    }
    if missing {
        batch.problem("NumMedia", "says more media than there are");
    }
}

fn place(form: &Form, event: &mut Event, batch: &mut Batch) {
    event.address = form.filled("Address");
    let (Some(lat), Some(long)) = (form.filled("Latitude"), form.filled("Longitude")) else { return };
    match (lat.parse(), long.parse()) {
        (Ok(lat), Ok(long)) if (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&long) => {
            event.location = Some(Location { lat, long });
        }
        _ => batch.problem("Latitude", "and Longitude are no place"),
    }
}
