//! Names of the Graph API, and what a conversation is called here.

use channel_sdk::types::{Context, Event, Handle, Part, Threading};

/// Where everything is fetched and sent.
pub(crate) const HOST: &str = "graph.facebook.com";
/// Messenger and Instagram: free text may be sent so many seconds after the person's last message.
pub(crate) const WINDOW_S: u32 = 86_400;
/// Characters of a Messenger message: the shortest of the limits.
pub(crate) const MAX_TEXT: u32 = 2000;

/// `conversation-id` is `<surface>/<our id>/<theirs>`: what `render` needs to answer in the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    /// A comment or post on our Page; theirs is the post.
    Feed,
    /// Our Page was mentioned elsewhere; theirs is the post.
    Mention,
    /// Messenger; theirs is the page-scoped id of the person.
    Messenger,
    /// A comment on our Instagram medium; theirs is the medium.
    InstagramComment,
    /// We were mentioned on Instagram; theirs is the medium.
    InstagramMention,
    /// Instagram messages; theirs is the scoped id of the person.
    InstagramDirect,
}

const SURFACES: [(Surface, &str); 6] = [
    (Surface::Feed, "feed"),
    (Surface::Mention, "mention"),
    (Surface::Messenger, "messenger"),
    (Surface::InstagramComment, "instagram-comment"),
    (Surface::InstagramMention, "instagram-mention"),
    (Surface::InstagramDirect, "instagram-direct"),
];

/// A place where people and the administration talk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conversation {
    pub(crate) surface: Surface,
    pub(crate) ours: String,
    pub(crate) theirs: String,
}

impl Conversation {
    pub(crate) fn new(surface: Surface, ours: &str, theirs: &str) -> Self {
        Self { surface, ours: ours.into(), theirs: theirs.into() }
    }

    pub(crate) fn id(&self) -> String {
        let name = SURFACES.iter().find(|(surface, _)| *surface == self.surface).map_or("", |(_, name)| name);
        format!("{name}/{}/{}", self.ours, self.theirs)
    }

    /// Reads [`Conversation::id`]. Ids that could change a URL's path are none.
    pub(crate) fn parse(id: &str) -> Option<Self> {
        let mut parts = id.split('/');
        let (name, ours, theirs) = (parts.next()?, parts.next()?, parts.next()?);
        let surface = SURFACES.iter().find(|(_, known)| *known == name).map(|(surface, _)| *surface)?;
        (parts.next().is_none() && is_id(ours) && is_id(theirs)).then(|| Self::new(surface, ours, theirs))
    }

    /// Puts an event there. In public everybody has a thread of their own under a post; a message is one thread anyway.
    pub(crate) fn hold(&self, event: &mut Event) {
        let id = self.id();
        event.threading = match (&event.sender, self.is_private()) {
            (_, true) => Threading::Key(id.clone()),
            (Some(sender), false) => Threading::Key(format!("{id}#{}", sender.value)),
            (None, false) => match &event.message_id {
                Some(message) => Threading::Key(format!("{id}#{message}")),
                None => Threading::Detached,
            },
        };
        event.conversation_id = Some(id);
        // An automatic answer in public would show a person's case reference to everybody.
        event.must_not_autorespond |= !self.is_private();
    }

    pub(crate) fn is_private(&self) -> bool {
        matches!(self.surface, Surface::Messenger | Surface::InstagramDirect)
    }
}

/// Belongs to the open case if there is one, opens none, and is not answered.
pub(crate) fn keep(event: &mut Event) {
    event.must_not_autorespond = true;
    if let Threading::Key(key) = &event.threading {
        event.threading = Threading::Existing(key.clone());
    }
}

/// Ids of the Graph API: digits, and `_` between those of a page and a post.
pub(crate) fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
}

pub(crate) fn handle(scheme: &str, value: String) -> Handle {
    Handle { scheme: scheme.into(), value }
}

/// `https://graph.facebook.com/v25.0/`
pub(crate) fn base(context: &Context) -> String {
    let set = context.settings.iter().find(|setting| setting.name == "graph_version");
    let version = set.map(|setting| setting.value.as_str()).filter(|version| {
        version.starts_with('v') && version.bytes().skip(1).all(|byte| byte.is_ascii_digit() || byte == b'.')
    });
    format!("https://{HOST}/{}/", version.unwrap_or("v25.0"))
}

pub(crate) fn literal(text: &str) -> Part {
    Part::Literal(text.as_bytes().to_vec())
}

pub(crate) fn has_secret(context: &Context, name: &str) -> bool {
    context.secrets.iter().any(|present| present == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_read_back_and_a_path_is_not_one() {
        for (surface, _) in SURFACES {
            let conversation = Conversation::new(surface, "1", "1_2");
            assert_eq!(Conversation::parse(&conversation.id()), Some(conversation));
        }
        for id in ["", "feed", "feed/1", "feed/1/", "feed/1/2/3", "feed/../2", "feed/1/2?x", "other/1/2"] {
            assert_eq!(Conversation::parse(id), None, "{id}");
        }
    }
}
