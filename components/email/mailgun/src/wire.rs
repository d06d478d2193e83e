//! The three bodies Mailgun posts: a form, a form with files, JSON.

use channel_sdk::forms::{self, Form};
use channel_sdk::json_access;
use channel_sdk::multipart;
use channel_sdk::types::Request;
use serde_json::Value;

/// A delivery, read but not believed.
pub(crate) enum Delivery<'a> {
    Form(Fields<'a>),
    Json(Value),
}

/// A form's fields and files in order.
#[derive(Default)]
pub(crate) struct Fields<'a> {
    pub(crate) pairs: Vec<(String, std::borrow::Cow<'a, [u8]>)>,
    pub(crate) files: Vec<multipart::Part<'a>>,
}

impl Fields<'_> {
    /// The LAST value: Mailgun's own libraries take that one, and a first one put before it is somebody else's.
    pub(crate) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.pairs.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.bytes(name).map(forms::text)
    }

    pub(crate) fn filled(&self, name: &str) -> Option<String> {
        self.text(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }
}

/// Reads a body by its content type.
pub(crate) fn read(request: &Request) -> Result<Delivery<'_>, String> {
    let content_type = channel_sdk::headers::text(&request.headers, "content-type").unwrap_or_default();
    match channel_sdk::headers::media_type(&request.headers).as_str() {
        "application/json" => json_access::parse(&request.body).map(Delivery::Json),
        "multipart/form-data" => {
            let parts = multipart::parse(&content_type, &request.body).map_err(|fault| fault.to_string())?;
            let mut fields = Fields::default();
            for part in parts {
                match &part.name {
                    _ if part.is_file() => fields.files.push(part),
                    Some(name) => fields.pairs.push((name.clone(), part.body.into())),
                    None => {}
                }
            }
            Ok(Delivery::Form(fields))
        }
        "application/x-www-form-urlencoded" => {
            let form = Form::parse(&request.body).map_err(|problem| problem.to_string())?;
            let pairs = form.pairs().iter().map(|pair| (forms::text(&pair.name), pair.value.clone().into())).collect();
            Ok(Delivery::Form(Fields { pairs, files: Vec::new() }))
        }
        _ => Err("the body is neither a form nor JSON".into()),
    }
}
