//! The providers whose part this program can play. The only place in it that knows one: a file per provider, named after
//! it, as the connectors' folders are.

mod twilio;

use crate::client::Http;
use anyhow::Result;

/// What a provider's telephone network does to our webhooks.
pub(crate) trait Dialect {
    /// `{channel}/{vendor}`.
    fn connector(&self) -> &'static str;

    /// The setting with the secret that requests are signed with.
    fn secret_setting(&self) -> &'static str;

    /// Suffix of the URL that is asked when a call comes in.
    fn first_suffix(&self) -> &'static str;

    /// Begins a call.
    fn dial(&self, line: Line) -> Result<Box<dyn Conversation>>;

    /// A request of which nothing is kept but that must be accepted when its signature is right and refused when it
    /// isn't: gives the status. None if the provider has no such request.
    fn probe(&self, http: &Http, url: &str, secret: &str) -> Option<Result<u16>>;
}

/// Who calls whom, and how.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) webhook: String,
    pub(crate) secret: String,
    /// Empty when withheld.
    pub(crate) from: String,
    pub(crate) to: String,
}

/// What the caller hears or is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Words, in a language if it is known.
    Said { text: String, language: Option<String> },
    /// A sound.
    Played(String),
    /// The application waits for digits or speech.
    Asked { digits: bool, speech: bool },
    /// The application records after a beep.
    Beep,
    /// The call is put through to somebody.
    PutThrough(String),
    /// The call is over.
    HungUp,
}

/// What the caller does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Press(String),
    Say(String),
    /// Neither: the time runs out.
    Wait,
    HangUp,
    /// What became of being put through: `completed`, `no-answer`, `busy`, `failed`.
    Dialled(String),
}

/// A call in progress.
pub(crate) trait Conversation {
    /// The provider's id of the call.
    fn id(&self) -> &str;

    /// What happens next.
    fn hear(&mut self) -> Result<Heard>;

    /// Answers `Asked`, `Beep` or `PutThrough`.
    fn act(&mut self, act: Act) -> Result<()>;
}

/// Every dialect.
pub(crate) fn all() -> Vec<Box<dyn Dialect>> {
    vec![Box::new(twilio::Twilio)]
}
