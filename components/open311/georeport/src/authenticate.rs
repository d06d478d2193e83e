//! Reading is for everybody, filing for who has an `api_key`. The standard carries the key among the form's fields.

use channel_sdk::refusal::refusal;
use channel_sdk::types::{Authentication, Check, Context, Encoding, Key, Refusal, RefusalReason, Request, Scheme};

use crate::wire::{self, Ask, Parameters};

/// Longer is no key.
const MAX_KEY: usize = 512;

pub(crate) fn authenticate(request: &Request, context: &Context) -> Authentication {
    match wire::read(request, context) {
        Ok(Ask::Question(question)) => Authentication::Lookup(question.lookup),
        Ok(Ask::Filing(filing)) => by_key(&filing.parameters, context),
        Ok(Ask::Update(update)) => by_key(&update.parameters, context),
        Err(faults) => Authentication::Refuse(faults.refusal()),
    }
}

fn by_key(parameters: &Parameters<'_>, context: &Context) -> Authentication {
    match parameters.first("api_key") {
        _ if !wire::wants_key(context) => {
            Authentication::Unsigned("no api_key is set, so anybody could file requests".into())
        }
        Some(key) if key.len() <= MAX_KEY => Authentication::Check(vec![check(key)]),
        _ => Authentication::Refuse(missing()),
    }
}

fn missing() -> Refusal {
    refusal(RefusalReason::MissingSignature, "api_key is missing or too long")
}

fn check(key: &str) -> Check {
    Check {
        scheme: Scheme::SharedSecret,
        key: Key::Secret("api_key".into()),
        message: Vec::new(),
        tag: key.as_bytes().to_vec(),
        encoding: Encoding::Raw,
        signed_at: None,
        nonce: None,
        body_digest: None,
        credential_header: None,
    }
}
