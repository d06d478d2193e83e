//! Addresses, formats and parameters of GeoReport v2 (<https://wiki.open311.org/GeoReport_v2>).

use channel_sdk::forms::{self, Form};
use channel_sdk::headers;
use channel_sdk::multipart::{self, Part};
use channel_sdk::types::{Context, Request};

use crate::fault::{Fault, Faults};
use crate::filing::Filing;
use crate::question::Question;
use crate::update::Update;

/// How an answer is written. XML is the one every endpoint has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Xml,
    Json,
}

/// What an address is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resource {
    Discovery,
    Services,
    Service(String),
    Requests,
    Request(String),
    Token(String),
    Updates,
}

/// A request that can be served.
pub(crate) enum Ask<'a> {
    /// Anybody may ask.
    Question(Box<Question>),
    /// Who files a request needs an `api_key`, if the administration has given one out.
    Filing(Box<Filing<'a>>),
    /// So does who adds to one.
    Update(Box<Update<'a>>),
}

/// The format of an address, also of one that is wrong otherwise.
pub(crate) fn format(suffix: &str) -> Format {
    match suffix.rsplit_once('.') {
        Some((_, ending)) if ending.eq_ignore_ascii_case("json") => Format::Json,
        _ => Format::Xml,
    }
}

pub(crate) fn resource(suffix: &str) -> Option<Resource> {
    let (path, ending) = suffix.strip_prefix('/')?.rsplit_once('.')?;
    if !ending.eq_ignore_ascii_case("json") && !ending.eq_ignore_ascii_case("xml") {
        return None;
    }
    let segments: Vec<String> = path.split('/').map(decode).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    Some(match segments.as_slice() {
        ["discovery"] => Resource::Discovery,
        ["services"] => Resource::Services,
        ["services", code] if !code.is_empty() => Resource::Service((*code).into()),
        ["requests"] => Resource::Requests,
        ["requests", id] if !id.is_empty() => Resource::Request((*id).into()),
        ["tokens", token] if !token.is_empty() => Resource::Token((*token).into()),
        ["servicerequestupdates"] => Resource::Updates,
        _ => return None,
    })
}

/// RFC 3986 §2.1. A plus sign is one, in a path.
fn decode(segment: &str) -> String {
    let form = format!("={}", segment.replace('+', "%2B").replace('&', "%26"));
    Form::parse(form.as_bytes()).ok().and_then(|form| form.get("")).unwrap_or_default()
}

/// Reads a request as far as nothing secret is needed for it.
pub(crate) fn read<'a>(request: &'a Request, context: &Context) -> Result<Ask<'a>, Faults> {
    let Some(resource) = resource(&request.suffix) else {
        return Err(Fault::unknown("there is nothing here; addresses end in .xml or .json, as in services.xml").into());
    };
    let query = Form::parse(request.query.as_deref().unwrap_or_default().as_bytes())
        .map_err(|problem| Fault::bad(problem.to_string()))?;
    let mut parameters = Parameters::default();
    match (request.method.as_str(), &resource) {
        ("GET", _) => {
            parameters.add(&query);
            jurisdiction(&parameters, context)?;
            let question = Question::read(resource, &parameters, request.received_at, &context.profile)?;
            Ok(Ask::Question(Box::new(question)))
        }
        ("POST", Resource::Requests | Resource::Updates) => {
            // What the body says comes first where both say it.
            parameters.body(request)?;
            parameters.add(&query);
            jurisdiction(&parameters, context)?;
            if parameters.first("api_key").is_none() && wants_key(context) {
                return Err(Fault::key().into());
            }
            Ok(match resource {
                Resource::Updates => Ask::Update(Box::new(Update::read(parameters)?)),
                _ => Ask::Filing(Box::new(Filing::read(parameters, &context.profile)?)),
            })
        }
        (_, Resource::Requests | Resource::Updates) => Err(Fault::new(405, "use GET or POST here").into()),
        _ => Err(Fault::new(405, "use GET here").into()),
    }
}

/// Whether the administration has given out an `api_key`.
pub(crate) fn wants_key(context: &Context) -> bool {
    context.secrets.iter().any(|name| name == "api_key")
}

/// A public setting that is not empty.
pub(crate) fn setting<'a>(context: &'a Context, name: &str) -> Option<&'a str> {
    let setting = context.settings.iter().find(|setting| setting.name == name);
    setting.map(|setting| setting.value.trim()).filter(|value| !value.is_empty())
}

/// One address serves one jurisdiction, so it need not be said; said wrong, it is another one.
fn jurisdiction(parameters: &Parameters<'_>, context: &Context) -> Result<(), Fault> {
    let known = |id: &str| id == context.tenant || setting(context, "jurisdiction_id") == Some(id);
    match parameters.first("jurisdiction_id") {
        Some(id) if !known(id) => Err(Fault::unknown("jurisdiction_id is not served here")),
        _ => Ok(()),
    }
}

/// What came with a request, decoded, in order. An empty parameter equals an absent one.
#[derive(Default)]
pub(crate) struct Parameters<'a> {
    pub(crate) pairs: Vec<(String, String)>,
    pub(crate) files: Vec<Part<'a>>,
}

impl<'a> Parameters<'a> {
    fn add(&mut self, form: &Form) {
        for pair in form.pairs() {
            self.put(forms::text(&pair.name), &forms::text(&pair.value));
        }
    }

    fn put(&mut self, name: String, value: &str) {
        let value = value.trim();
        if !value.is_empty() {
            self.pairs.push((name, value.to_owned()));
        }
    }

    /// The standard posts an urlencoded form; clients that upload a picture post multipart.
    fn body(&mut self, request: &'a Request) -> Result<(), Fault> {
        let content_type = headers::text(&request.headers, "content-type").unwrap_or_default();
        match headers::media_type(&request.headers).as_str() {
            "application/x-www-form-urlencoded" => {
                self.add(&Form::parse(&request.body).map_err(|problem| Fault::bad(problem.to_string()))?);
            }
            "multipart/form-data" => {
                let parts = multipart::parse(&content_type, &request.body)
                    .map_err(|fault| Fault::bad(format!("the multipart body can't be read: {fault}")))?;
                for part in parts {
                    match &part.name {
                        _ if part.is_file() => self.files.push(part),
                        // An empty file input is neither a file nor a field.
                        Some(name) if part.file_name.is_none() => {
                            let text = part.text();
                            self.put(name.clone(), &text);
                        }
                        _ => {}
                    }
                }
            }
            _ if request.body.is_empty() => {}
            _ => {
                let description = "the body must be a form: application/x-www-form-urlencoded or multipart/form-data";
                return Err(Fault { code: 415, ..Fault::bad(description) });
            }
        }
        Ok(())
    }

    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| is_named(known, name)).map(|(_, value)| value.as_str())
    }

    /// All values of a name, also written `name[]`.
    pub(crate) fn all<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b str> {
        self.pairs.iter().filter(move |(known, _)| is_named(known, name)).map(|(_, value)| value.as_str())
    }

    /// The elements of a list that may be written with commas, in several parameters, or both.
    pub(crate) fn list<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b str> {
        self.all(name).flat_map(|value| value.split(',')).map(str::trim).filter(|element| !element.is_empty())
    }
}

fn is_named(known: &str, name: &str) -> bool {
    known.strip_suffix("[]").unwrap_or(known) == name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_resource_in_a_format() {
        assert_eq!(resource("/services.XML"), Some(Resource::Services));
        assert_eq!(resource("/services/street-light.json"), Some(Resource::Service("street-light".into())));
        assert_eq!(resource("/services/a%2Fb+c.d.json"), Some(Resource::Service("a/b+c.d".into())));
        assert_eq!(resource("/requests/482-109-3726.xml"), Some(Resource::Request("482-109-3726".into())));
        for nothing in
            ["", "/", "/services", "/services.html", "services.xml", "/services/.xml", "/a.xml", "/requests/1/2.xml"]
        {
            assert_eq!(resource(nothing), None, "{nothing}");
        }
        assert_eq!((format("/x.JSON"), format("/x.html"), format("")), (Format::Json, Format::Xml, Format::Xml));
    }
}
