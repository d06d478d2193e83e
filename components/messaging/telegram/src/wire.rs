//! Names and identities of the Bot API. Ids are 64-bit integers there and texts here.

use channel_sdk::json_access::Pick;
use channel_sdk::types::Handle;
use serde_json::Value;

/// Where replies go.
pub(crate) const HOST: &str = "api.telegram.org";
/// Characters of a text message.
pub(crate) const MAX_TEXT: u32 = 4096;

/// A chat an update is about, with what an answer needs to get there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chat {
    /// Negative for groups and channels.
    pub(crate) id: String,
    /// `private`, `group`, `supergroup`, `channel`.
    pub(crate) kind: Option<String>,
    /// Forum topic.
    pub(crate) topic: Option<String>,
    /// The connection of a business account that lets the bot read its chats.
    pub(crate) business: Option<String>,
    /// What it is called, for people.
    pub(crate) title: Option<String>,
}

impl Chat {
    /// Of a message, or of anything else that has a `chat`.
    pub(crate) fn of(message: &Value) -> Option<Self> {
        let chat = message.at("chat");
        Some(Self {
            id: chat.id("id")?,
            kind: chat.text("type"),
            // `message_thread_id` is also set for plain reply chains in groups; only topics are places to answer in.
            topic: message.id("message_thread_id").filter(|_| message.truth("is_topic_message")),
            business: message.id("business_connection_id"),
            title: chat.text("title"),
        })
    }

    /// `chat`, `chat/topic`, and with `@connection` for a business chat.
    pub(crate) fn conversation(&self) -> String {
        let mut conversation = self.id.clone();
        for (mark, part) in [('/', &self.topic), ('@', &self.business)] {
            if let Some(part) = part {
                conversation.push(mark);
                conversation.push_str(part);
            }
        }
        conversation
    }

    /// What the thread is known by. In a group every person has a thread: what one wrote there is no other one's case.
    pub(crate) fn thread_key(&self, sender: Option<&Handle>) -> String {
        let conversation = self.conversation();
        match sender {
            Some(sender) if self.kind.as_deref() != Some("private") && sender.value != self.id => {
                format!("{conversation}#{}", sender.value)
            }
            _ => conversation,
        }
    }

    /// A message's id is unique within its chat only.
    pub(crate) fn message_id(&self, message: &Value) -> Option<String> {
        message.id("message_id").map(|id| format!("{}:{id}", self.id))
    }
}

/// Somebody: a user, or a chat that speaks as itself (a channel, an anonymous administrator).
#[derive(Debug, Default)]
pub(crate) struct Somebody {
    pub(crate) handle: Option<Handle>,
    pub(crate) name: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) language: Option<String>,
    pub(crate) is_bot: bool,
}

impl Somebody {
    pub(crate) fn user(user: &Value) -> Self {
        let names: Vec<String> = ["first_name", "last_name"].iter().filter_map(|name| user.text(name)).collect();
        Self {
            handle: user.id("id").map(handle),
            name: Some(names.join(" ")).filter(|name| !name.is_empty()),
            username: user.text("username"),
            language: user.text("language_code"),
            is_bot: user.truth("is_bot"),
        }
    }

    pub(crate) fn chat(chat: &Value) -> Self {
        Self {
            handle: chat.id("id").map(handle),
            name: chat.text("title"),
            username: chat.text("username"),
            ..Self::default()
        }
    }

    /// `sender_chat` comes first: `from` is then a stand-in that is the same for everybody (GroupAnonymousBot).
    pub(crate) fn of(message: &Value) -> Self {
        if message.at("sender_chat").is_object() {
            return Self::chat(message.at("sender_chat"));
        }
        if message.at("from").is_object() {
            return Self::user(message.at("from"));
        }
        Self::default()
    }
}

fn handle(id: String) -> Handle {
    Handle { scheme: "telegram".into(), value: id }
}

/// The piece of a text an entity covers. Offsets and lengths count UTF-16 code units; one that cuts a character, or lies
/// outside, covers nothing.
pub(crate) fn covered<'a>(text: &'a str, entity: &Value) -> Option<&'a str> {
    let start = usize::try_from(entity.whole("offset")?).ok()?;
    let end = start.checked_add(usize::try_from(entity.whole("length")?).ok()?)?;
    let (mut units, mut from, mut to) = (0, None, None);
    for (place, character) in text.char_indices().chain([(text.len(), '\0')]) {
        if units == start {
            from = from.or(Some(place));
        }
        if units == end {
            to = to.or(Some(place));
        }
        units += character.len_utf16();
    }
    text.get(from?..to?).filter(|piece| !piece.is_empty())
}

/// A number as E.164: Telegram gives shared contacts with or without the `+`, always in international form for its own users.
pub(crate) fn phone(raw: &str) -> Option<String> {
    let digits: String =
        raw.trim().strip_prefix('+').unwrap_or(raw.trim()).chars().filter(|it| !" -()".contains(*it)).collect();
    let is_number = (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| format!("+{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn entities_count_utf_16_units() {
        let text = "\u{1f526} ves a \u{201c}web\u{201d}";
        let piece = |offset: i64, length: i64| covered(text, &json!({"offset": offset, "length": length}));
        assert_eq!(piece(0, 2), Some("\u{1f526}"));
        assert_eq!(piece(3, 3), Some("ves"));
        assert_eq!(piece(10, 3), Some("web"));
        assert_eq!(piece(0, 14), Some(text));
        for (offset, length) in [(1, 1), (0, 1), (0, 0), (0, 15), (-1, 3), (i64::MAX, i64::MAX)] {
            assert_eq!(piece(offset, length), None, "{offset} {length}");
        }
    }

    #[test]
    fn everybody_in_a_group_has_a_thread() {
        let chat = |kind: &str| Chat::of(&json!({"chat": {"id": -1_001_234_567_890_i64, "type": kind}})).unwrap();
        let sender = handle("7".into());
        assert_eq!(chat("supergroup").thread_key(Some(&sender)), "-1001234567890#7");
        assert_eq!(chat("channel").thread_key(Some(&handle("-1001234567890".into()))), "-1001234567890");
        let private = Chat::of(&json!({"chat": {"id": 7, "type": "private"}})).unwrap();
        assert_eq!(private.thread_key(Some(&sender)), "7");
    }

    #[test]
    fn a_conversation_says_where_in_a_chat() {
        let message = json!({"chat": {"id": -5}, "message_thread_id": 9, "is_topic_message": true, "business_connection_id": "bc"});
        assert_eq!(Chat::of(&message).unwrap().conversation(), "-5/9@bc");
        let chain = json!({"chat": {"id": -5}, "message_thread_id": 9});
        assert_eq!(Chat::of(&chain).unwrap().conversation(), "-5");
    }
}
