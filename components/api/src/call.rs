//! A request that may be answered: path values, query and body, checked; every refusal names the field and the remedy.

use crate::access::Grant;
use crate::answer::{self, Problem};
use crate::bindings::log::Page;
use crate::routes::Params;
use channel_sdk::reference;
use serde_json::{Map, Value};

/// Longest cursor, search text or name taken.
const MAX_TEXT: usize = 500;
/// Longest note or reply, in bytes.
const MAX_PROSE: usize = 64 << 10;
/// A page when the client doesn't say.
const DEFAULT_LIMIT: u32 = 50;
/// Whose change it is when the client doesn't say.
const DEFAULT_AUTHOR: &str = "api";

/// A request that may be answered.
pub(crate) struct Call {
    pub(crate) params: Params,
    pub(crate) query: Query,
    pub(crate) body: Vec<u8>,
    pub(crate) grant: Grant,
    /// Milliseconds since the epoch.
    pub(crate) now: i64,
}

impl Call {
    /// The tenant of the path.
    pub(crate) fn tenant(&self) -> String {
        self.param("tenant")
    }

    /// A value of the path; the route table has it, or it is empty.
    pub(crate) fn param(&self, name: &str) -> String {
        self.params.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// The case reference of the path as bare digits.
    pub(crate) fn reference(&self) -> Result<String, Problem> {
        reference::parse(&self.param("reference")).map_err(|error| answer::invalid("reference", error.to_string()))
    }

    /// The page asked for.
    pub(crate) fn page(&self) -> Result<Page, Problem> {
        let limit = match self.query.get("limit") {
            None => DEFAULT_LIMIT,
            Some(text) => text.parse().ok().filter(|limit| (1..=500).contains(limit)).ok_or_else(|| {
                answer::invalid("limit", format!("limit must be a number from 1 to 500, is {text:?}"))
            })?,
        };
        Ok(Page { after: self.query.get("after").map(str::to_owned), limit })
    }

    /// The body as an object in which only these members may be. An empty body is an empty object.
    pub(crate) fn members(&self, known: &[&str]) -> Result<Members, Problem> {
        if self.body.trim_ascii().is_empty() {
            return Ok(Members(Map::new()));
        }
        let members = match self.json()? {
            Value::Object(members) => members,
            _ => return Err(answer::invalid("body", "the body must be a JSON object")),
        };
        if let Some(name) = members.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(answer::invalid(
                name,
                format!("unknown member {name:?}; this route takes {}", known.join(", ")),
            ));
        }
        Ok(Members(members))
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value, Problem> {
        serde_json::from_slice(&self.body)
            .map_err(|error| answer::invalid("body", format!("the body is not JSON: {error}")))
    }
}

/// Members of a JSON body.
#[derive(Debug)]
pub(crate) struct Members(Map<String, Value>);

impl Members {
    /// A text, if given; trimmed, never empty.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        self.bounded(name, MAX_TEXT)
    }

    /// What a person wrote; needed.
    pub(crate) fn prose(&self, name: &str) -> Result<String, Problem> {
        self.bounded(name, MAX_PROSE)?.ok_or_else(|| answer::invalid(name, format!("member {name:?} is missing")))
    }

    /// A text of at most so many bytes; needed.
    pub(crate) fn needed(&self, name: &str, limit: usize) -> Result<String, Problem> {
        self.bounded(name, limit)?.ok_or_else(|| answer::invalid(name, format!("member {name:?} is missing")))
    }

    /// As it was given.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A whole number in a range, if given.
    pub(crate) fn number(&self, name: &str, range: std::ops::RangeInclusive<u8>) -> Result<Option<u8>, Problem> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let number = value.as_u64().and_then(|n| u8::try_from(n).ok()).filter(|n| range.contains(n));
        number.map(Some).ok_or_else(|| {
            answer::invalid(name, format!("{name} must be a whole number from {} to {}", range.start(), range.end()))
        })
    }

    /// Who makes the change.
    pub(crate) fn author(&self) -> Result<String, Problem> {
        Ok(self.text("author")?.unwrap_or_else(|| DEFAULT_AUTHOR.to_owned()))
    }

    fn bounded(&self, name: &str, limit: usize) -> Result<Option<String>, Problem> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| answer::invalid(name, format!("{name} must be a string")))?.trim();
        if text.is_empty() {
            return Err(answer::invalid(name, format!("{name} is empty; leave it out or give a text")));
        }
        if text.len() > limit {
            return Err(answer::invalid(name, format!("{name} is over {limit} bytes; shorten it")));
        }
        Ok(Some(text.to_owned()))
    }
}

/// A query, decoded; only known names, each once.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query that may have these parameters.
    pub(crate) fn parse(query: &str, known: &[&str]) -> Result<Query, Problem> {
        let mut read = Query::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name)
                .ok_or_else(|| answer::invalid("query", "the query is not well-formed percent-encoded UTF-8"))?;
            let value = decode(value)
                .filter(|value| !value.contains('\0'))
                .ok_or_else(|| answer::invalid(&name, format!("{name} is not well-formed percent-encoded UTF-8")))?;
            if !known.contains(&name.as_str()) {
                let takes = if known.is_empty() { "no parameters".to_owned() } else { known.join(", ") };
                return Err(answer::invalid(&name, format!("unknown parameter {name:?}; this path takes {takes}")));
            }
            if read.0.iter().any(|(seen, _)| *seen == name) {
                return Err(answer::invalid(&name, format!("{name} is given twice; give it once")));
            }
            if value.len() > MAX_TEXT {
                return Err(answer::invalid(&name, format!("{name} is over {MAX_TEXT} bytes; shorten it")));
            }
            read.0.push((name, value));
        }
        Ok(read)
    }

    /// A parameter's value; an empty one counts as absent, as forms send it.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// Decodes `application/x-www-form-urlencoded` text.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(rest.next()?)? << 4 | digit(rest.next()?)?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(query: &str, body: &str) -> Call {
        Call {
            params: vec![("tenant", "madrid".into()), ("reference", "482-109-3726".into())],
            query: Query::parse(query, &["q", "limit", "after"]).unwrap(),
            body: body.into(),
            grant: Grant::default(),
            now: 0,
        }
    }

    fn field(problem: Problem) -> String {
        assert_eq!(problem.status, 400);
        problem.field.unwrap()
    }

    #[test]
    fn a_query_is_decoded_once() {
        let query = Query::parse("q=ca%C3%B1er%C3%ADa+rota%2520&limit=", &["q", "limit"]).unwrap();
        assert_eq!(query.get("q"), Some("cañería rota%20"));
        assert_eq!(query.get("limit"), None);
    }

    #[test]
    fn a_bad_query_is_refused_by_name() {
        let refused = |query: &str| field(Query::parse(query, &["q", "limit"]).unwrap_err());
        assert_eq!(refused("statsu=open"), "statsu");
        assert_eq!(refused("q=a&q=b"), "q");
        assert_eq!(refused("q=%zz"), "q");
        assert_eq!(refused("q=%c3"), "q");
        assert_eq!(refused("q=%00"), "q");
        assert_eq!(refused("q=%2"), "q");
        assert_eq!(refused("%ff=1"), "query");
        assert_eq!(refused(&format!("q={}", "a".repeat(501))), "q");
    }

    #[test]
    fn a_limit_out_of_range_is_refused() {
        assert_eq!(call("", "").page().unwrap().limit, 50);
        assert_eq!(call("limit=500&after=x", "").page().unwrap().after.as_deref(), Some("x"));
        for limit in ["0", "501", "-1", "ten", "1.5", "99999999999"] {
            assert_eq!(field(call(&format!("limit={limit}"), "").page().unwrap_err()), "limit");
        }
    }

    #[test]
    fn a_body_with_an_unknown_or_ill_typed_member_is_refused_by_name() {
        let known = ["text", "author", "priority"];
        let members = |body: &str| call("", body).members(&known);
        assert_eq!(field(members(r#"{"txt": "a"}"#).unwrap_err()), "txt");
        assert_eq!(field(members("[]").unwrap_err()), "body");
        assert_eq!(field(members("{").unwrap_err()), "body");
        assert_eq!(field(members(r#"{"text": 1}"#).unwrap().prose("text").unwrap_err()), "text");
        assert_eq!(field(members(r#"{"text": "  "}"#).unwrap().prose("text").unwrap_err()), "text");
        assert_eq!(field(members("{}").unwrap().prose("text").unwrap_err()), "text");
        for priority in ["0", "6", "1.5", "\"1\"", "256", "-1"] {
            let body = format!(r#"{{"priority": {priority}}}"#);
            assert_eq!(field(members(&body).unwrap().number("priority", 1..=5).unwrap_err()), "priority");
        }
        assert_eq!(members("").unwrap().author().unwrap(), "api");
    }

    #[test]
    fn a_mistyped_reference_is_refused() {
        let mut call = call("", "");
        call.params = vec![("reference", "482-109-3725".into())];
        assert_eq!(field(call.reference().unwrap_err()), "reference");
    }
}
