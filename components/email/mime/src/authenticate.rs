//! Who may hand mail over: a bearer token, basic credentials or a secret header. None of them covers the message.

use channel_sdk::headers;
use channel_sdk::refusal::refusal;
use channel_sdk::types::{Authentication, Check, Context, Encoding, Key, Refusal, RefusalReason, Request, Scheme};

const SECRET_HEADER: &str = "x-webhook-secret";
const MAX_CREDENTIAL: usize = 4_096;

pub(crate) fn authenticate(request: &Request, context: &Context) -> Authentication {
    if request.method != "POST" {
        return Authentication::Refuse(refusal(RefusalReason::MethodNotAllowed, "mail comes by POST"));
    }
    match checks(request) {
        Ok(checks) if !checks.is_empty() => Authentication::Check(checks),
        Ok(_) if context.secrets.iter().any(|name| name == "token" || name == "basic") => {
            Authentication::Refuse(refusal(
                RefusalReason::MissingSignature,
                "no credential: the mail server must send `Authorization` or X-Webhook-Secret",
            ))
        }
        Ok(_) => Authentication::Unsigned(
            "no credential is configured: set `token` or `basic`, and let the mail server send it".into(),
        ),
        Err(refusal) => Authentication::Refuse(refusal),
    }
}

fn checks(request: &Request) -> Result<Vec<Check>, Refusal> {
    let check = |scheme, key: &str, tag: &[u8], encoding, header: &str| Check {
        scheme,
        key: Key::Secret(key.into()),
        message: Vec::new(),
        tag: tag.to_vec(),
        encoding,
        signed_at: None,
        nonce: None,
        body_digest: None,
        credential_header: Some(header.into()),
    };
    let mut checks = Vec::new();
    if let Some(value) = headers::single(&request.headers, "authorization", MAX_CREDENTIAL)? {
        let space = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
        let (scheme, credential) = value.split_at(space);
        let credential = credential.trim_ascii();
        if credential.is_empty() {
            return Err(refusal(RefusalReason::BadSignature, "the authorization header has no credential"));
        } else if scheme.eq_ignore_ascii_case(b"bearer") {
            checks.push(check(Scheme::Bearer, "token", credential, Encoding::Raw, "authorization"));
        } else if scheme.eq_ignore_ascii_case(b"basic") {
            checks.push(check(Scheme::Basic, "basic", credential, Encoding::Base64, "authorization"));
        } else {
            return Err(refusal(RefusalReason::BadSignature, "the authorization header is neither Bearer nor Basic"));
        }
    }
    if let Some(value) =
        headers::single(&request.headers, SECRET_HEADER, MAX_CREDENTIAL)?.filter(|value| !value.is_empty())
    {
        checks.push(check(Scheme::SharedSecret, "token", value, Encoding::Raw, SECRET_HEADER));
    }
    Ok(checks)
}
