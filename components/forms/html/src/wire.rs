//! What a form sends: its fields and photos, from any of the three encodings.
//!
//! WHATWG HTML §4.10.21 (urlencoded and multipart as browsers make them), RFC 7578; JSON is our own: the same names as members.

use channel_sdk::forms::{self, Form};
use channel_sdk::json_access::{self, scalar};
use channel_sdk::types::{Refusal, RefusalReason, Request};
use channel_sdk::{headers, multipart, refusal::refusal};
use serde_json::Value;

use crate::token::Token;

/// Of photos and everything.
pub(crate) const MAX_BODY: u32 = 20 << 20;
pub(crate) const MAX_PHOTOS: usize = 5;
/// Characters of a message.
pub(crate) const MAX_TEXT: usize = 4_000;
/// Characters of a line.
pub(crate) const MAX_LINE: usize = 250;

pub(crate) const STYLE: &str = "/style.css";
pub(crate) const SCRIPT: &str = "/form.js";

/// Names of the fields.
pub(crate) const LANG: &str = "lang";
pub(crate) const TOKEN: &str = "token";
pub(crate) const WORK: &str = "work";
pub(crate) const STEP: &str = "step";
pub(crate) const SERVICE: &str = "service";
pub(crate) const TEXT: &str = "description";
pub(crate) const ADDRESS: &str = "address";
pub(crate) const LAT: &str = "lat";
pub(crate) const LONG: &str = "long";
pub(crate) const PHOTO: &str = "photo";
pub(crate) const NAME: &str = "name";
pub(crate) const EMAIL: &str = "email";
pub(crate) const PHONE: &str = "phone";
/// Nobody sees it, so nobody fills it in.
pub(crate) const TRAP: &str = "homepage";

/// A server's own name for what it posts.
pub(crate) const ID: &str = "id";

/// Fields of the form itself; all others are kept as they are.
pub(crate) const OWN: [&str; 14] =
    [ID, LANG, TOKEN, WORK, STEP, SERVICE, TEXT, ADDRESS, LAT, LONG, NAME, EMAIL, PHONE, TRAP];

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Photo<'a> {
    pub(crate) name: String,
    pub(crate) content: &'a [u8],
}

/// How it came, and so how it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Page,
    Json,
}

/// A form as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent<'a> {
    fields: Vec<(String, String)>,
    pub(crate) photos: Vec<Photo<'a>>,
    pub(crate) encoding: Encoding,
    /// Something was not UTF-8, or had NUL in it.
    pub(crate) repaired: bool,
}

impl Sent<'_> {
    /// The first value of a field that is not blank, trimmed, with line feeds alone.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// All values of a field that are not blank.
    pub(crate) fn all<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b str> {
        self.fields
            .iter()
            .filter(move |(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// All fields, as sent.
    pub(crate) fn fields(&self) -> &[(String, String)] {
        &self.fields
    }

    fn add(&mut self, name: &str, value: &str) {
        self.repaired |= name.contains('\u{fffd}') || value.contains('\u{fffd}');
        let value = value.replace("\r\n", "\n").replace('\r', "\n");
        self.fields.push((name.trim().to_owned(), value.trim().to_owned()));
    }
}

/// The credential of a server that posts for others, if it shows one.
pub(crate) fn bearer(request: &Request) -> Option<Vec<u8>> {
    let claimed = headers::single(&request.headers, "authorization", 1024).ok().flatten()?;
    let (scheme, credential) = claimed.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| credential.trim_ascii().to_vec())
}

/// Which form this is, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Handed out here.
    Token(Token),
    /// Named by a server that has a key: the header `Idempotency-Key`, or the member `id`.
    Named(String),
}

/// The identity of what was sent; none if it has none.
pub(crate) fn identity(request: &Request, sent: &Sent<'_>) -> Option<Identity> {
    if bearer(request).is_some() {
        let header = headers::text(&request.headers, "idempotency-key").map(|id| id.trim().to_owned());
        let id = header.filter(|id| !id.is_empty()).or_else(|| sent.get(ID).map(str::to_owned));
        return id.filter(|id| id.len() <= MAX_LINE).map(Identity::Named);
    }
    sent.get(TOKEN).and_then(Token::parse).map(Identity::Token)
}

/// The field in which an answer to a service's question comes (GeoReport v2 `attribute[code]`).
pub(crate) fn attribute(code: &str) -> String {
    format!("attribute[{code}]")
}

/// Reads what was sent.
///
/// # Errors
///
/// `malformed`, `unsupported-media-type`; for the operator, without quoting anything.
pub(crate) fn read(request: &Request) -> Result<Sent<'_>, Refusal> {
    let media_type = headers::media_type(&request.headers);
    let malformed = |why: String| refusal(RefusalReason::Malformed, why);
    let mut sent = Sent { fields: Vec::new(), photos: Vec::new(), encoding: Encoding::Page, repaired: false };
    match media_type.as_str() {
        "application/x-www-form-urlencoded" => {
            let form = Form::parse(&request.body).map_err(|why| malformed(why.to_string()))?;
            for pair in form.pairs() {
                sent.add(&forms::text(&pair.name), &forms::text(&pair.value));
            }
        }
        "multipart/form-data" => {
            let content_type = headers::text(&request.headers, "content-type").unwrap_or_default();
            let parts = multipart::parse(&content_type, &request.body).map_err(|why| malformed(why.to_string()))?;
            for part in parts {
                let name = part.name.clone().unwrap_or_default();
                match &part.file_name {
                    None => sent.add(&name, &part.text()),
                    // An empty file input is no file (WHATWG HTML §4.10.21.4).
                    Some(file_name) if part.is_file() => {
                        sent.photos.push(Photo { name: file_name.clone(), content: part.body })
                    }
                    Some(_) => {}
                }
            }
        }
        "application/json" => {
            sent.encoding = Encoding::Json;
            let Value::Object(members) = json_access::parse(&request.body).map_err(malformed)? else {
                return Err(malformed("the JSON is no object".into()));
            };
            if members.len() > forms::MAX_PAIRS {
                return Err(malformed(forms::TooManyPairs.to_string()));
            }
            for (name, value) in &members {
                match value {
                    Value::Object(answers) if name == "attributes" => {
                        for (code, answer) in answers {
                            scalar(answer).iter().for_each(|answer| sent.add(&attribute(code), answer));
                        }
                    }
                    Value::Array(values) => {
                        values.iter().take(100).filter_map(scalar).for_each(|value| sent.add(name, &value))
                    }
                    value => scalar(value).iter().for_each(|value| sent.add(name, value)),
                }
            }
        }
        _ => {
            let detail = "the body is neither a form nor JSON";
            return Err(refusal(RefusalReason::UnsupportedMediaType, detail));
        }
    }
    if bearer(request).is_some() {
        sent.encoding = Encoding::Json;
    }
    Ok(sent)
}
