//! The provider's names. Put the link to its page here, and the day you read it.

/// Carries the signature, in hexadecimal digits.
pub(crate) const SIGNATURE: &str = "x-signature";
/// The provider's stable id of a message: the same when it is delivered again.
pub(crate) const ID: &str = "id";
/// The conversation it belongs to.
pub(crate) const CONVERSATION: &str = "conversation";
/// Who wrote.
pub(crate) const FROM: &str = "from";
/// What they wrote.
pub(crate) const TEXT: &str = "text";
/// When, in seconds since 1970.
pub(crate) const TIME: &str = "time";
