//! `X-Twilio-Signature`: the scheme is in the SDK, since others sign so too.

use channel_sdk::form_signature::{self, Names};
use channel_sdk::types::{Authentication, Context, Request};

const NAMES: Names = Names {
    signature: "x-twilio-signature",
    secret: "auth_token",
    // SharedKeys, public beta since September 2026. Without the header it is the AuthToken and SHA-1.
    shared_key: Some(("x-twilio-webhooks-signature-settings", "shared_key")),
};

/// Names what must hold for a request to be Twilio's.
pub(crate) fn authenticate(request: &Request, context: &Context) -> Authentication {
    form_signature::authenticate(request, context, &NAMES)
}
