//! The only proof there is: the `secret_token` of `setWebhook`, in a header. Nothing signs the body.

use channel_sdk::headers;
use channel_sdk::refusal::refusal;
use channel_sdk::types::{Authentication, Check, Encoding, Key, Refusal, RefusalReason, Request, Scheme};

const TOKEN: &str = "x-telegram-bot-api-secret-token";
/// Of `secret_token`, by the Bot API.
const MAX_TOKEN: usize = 256;

/// Names what must hold for a request to be Telegram's.
pub(crate) fn authenticate(request: &Request) -> Authentication {
    match check(request) {
        Ok(check) => Authentication::Check(vec![check]),
        Err(refusal) => Authentication::Refuse(refusal),
    }
}

fn check(request: &Request) -> Result<Check, Refusal> {
    if request.method != "POST" {
        return Err(refusal(RefusalReason::MethodNotAllowed, "updates come by POST"));
    }
    Ok(Check {
        scheme: Scheme::SharedSecret,
        key: Key::Secret("secret_token".into()),
        message: Vec::new(),
        tag: headers::required(&request.headers, TOKEN, MAX_TOKEN)?.to_vec(),
        encoding: Encoding::Raw,
        signed_at: None,
        nonce: None,
        body_digest: None,
        credential_header: Some(TOKEN.into()),
    })
}
