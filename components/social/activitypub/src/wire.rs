//! Names of ActivityStreams 2.0 and ActivityPub (W3C), and what a URL of ours or of theirs is.

use channel_sdk::json_access::{Pick, fingerprint};
use channel_sdk::types::{Context, Part};
use serde_json::Value;

/// ActivityPub §3.2: what documents are asked for and served as.
pub(crate) const ACTIVITY_JSON: &str = "application/activity+json";
/// The same in its long form; both are asked for, since some servers know only one.
pub(crate) const LD_JSON: &str = "application/ld+json; profile=\"https://www.w3.org/ns/activitystreams\"";
/// ActivityStreams §5.1.1: addressed to everybody.
pub(crate) const PUBLIC: [&str; 3] = ["https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public"];
/// The vocabulary.
pub(crate) const STREAMS: &str = "https://www.w3.org/ns/activitystreams";
/// In characters. Servers take much more from elsewhere; nobody reads it.
pub(crate) const MAX_TEXT: u32 = 5000;
/// Nothing longer is an id: URLs beyond it are nobody's.
const MAX_ID: usize = 2048;

/// A public setting that is not empty.
pub(crate) fn setting<'a>(context: &'a Context, name: &str) -> Option<&'a str> {
    let setting = context.settings.iter().find(|setting| setting.name == name)?;
    Some(setting.value.trim()).filter(|value| !value.is_empty())
}

/// The name before the `@`: the setting `username`, else the tenant's.
pub(crate) fn username(context: &Context) -> &str {
    setting(context, "username").unwrap_or(&context.tenant)
}

/// What comes after the `@`: the setting `domain`, else the host of the public URL.
pub(crate) fn domain(context: &Context) -> String {
    setting(context, "domain").map_or_else(|| authority(&context.public_url).unwrap_or_default(), str::to_owned)
}

/// Our actor's id.
pub(crate) fn our_actor(context: &Context) -> &str {
    &context.public_url
}

/// The id of our key.
pub(crate) fn our_key(context: &Context) -> String {
    format!("{}#main-key", context.public_url)
}

/// `https://host[:port]` in lower case, of a URL that can only be read in one way.
pub(crate) fn origin(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = rest.get(..end)?.to_ascii_lowercase();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let fits = url.len() <= MAX_ID && url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\"<>`{|}".contains(&byte));
    (fits && !authority.is_empty() && authority.bytes().all(plain))
        .then(|| format!("https://{}", authority.strip_suffix(":443").unwrap_or(&authority)))
}

/// Whether two URLs are on the same host, both being `https`.
pub(crate) fn same_origin(one: &str, other: &str) -> bool {
    matches!((origin(one), origin(other)), (Some(one), Some(other)) if one == other)
}

/// Host and port as they are signed: lower case, without the scheme's own port.
pub(crate) fn authority(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?.to_ascii_lowercase();
    let default = if scheme == "https" { ":443" } else { ":80" };
    Some(authority.strip_suffix(default).unwrap_or(&authority).to_owned())
}

/// Path and query of a URL, as they are signed.
pub(crate) fn target(url: &str) -> &str {
    let url = without_fragment(url);
    let start = url.find("://").map_or(0, |at| at + 3);
    let rest = url.get(start..).unwrap_or_default();
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
}

/// A URL without what is behind `#`.
pub(crate) fn without_fragment(url: &str) -> &str {
    url.split('#').next().unwrap_or_default()
}

/// The ids in a member that may be an id, an object with one, or a list of these.
pub(crate) fn ids(value: &Value) -> Vec<&str> {
    many(value)
        .iter()
        .filter_map(|value| value.as_str().or_else(|| value.at("id").as_str()))
        .filter(|id| !id.is_empty())
        .collect()
}

/// The elements of a member: one that stands alone is as good as a list of one (JSON-LD 1.1 §4.3).
pub(crate) fn many(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(values) => values,
        one => core::slice::from_ref(one),
    }
}

/// The only id in a member; none if there are several: then it is not said whose it is.
pub(crate) fn only_id(value: &Value) -> Option<&str> {
    match ids(value).as_slice() {
        [id] => Some(id),
        _ => None,
    }
}

/// Whether a type, or one of several, is this.
pub(crate) fn is_type(value: &Value, name: &str) -> bool {
    many(value.at("type")).iter().any(|kind| kind.as_str() == Some(name))
}

/// Where our notes are: `<actor>/notes/<thread>/<id>`. The thread's mark comes back in `inReplyTo`, whatever the other server
/// knows about conversations.
fn notes(context: &Context) -> String {
    format!("{}/notes/", context.public_url)
}

/// The id of a note of ours.
pub(crate) fn our_note(context: &Context, mark: &str, id: &str) -> String {
    format!("{}{mark}/{id}", notes(context))
}

/// The thread's mark of a note of ours; none if it is somebody else's.
pub(crate) fn mark_of_ours(context: &Context, id: &str) -> Option<String> {
    let mark = id.strip_prefix(notes(context).as_str())?.split('/').next()?;
    let is_mark = mark.len() == 16 && mark.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_mark.then(|| mark.to_owned())
}

/// The mark of a thread known by what began it. Threads are kept apart per person besides, so that nobody can join another's
/// by naming it.
pub(crate) fn mark(context: &Context, thread: &str) -> String {
    mark_of_ours(context, thread).unwrap_or_else(|| fingerprint(&Value::String(thread.to_owned())))
}

/// A text as JSON. Documents are written as text, not built: they are few, and trees of them are a third of the component.
pub(crate) fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// A literal part.
pub(crate) fn literal(text: &str) -> Part {
    Part::Literal(text.as_bytes().to_vec())
}

/// RFC 9110 §5.6.7: `Sat, 21 Nov 2026 10:00:00 GMT`, of milliseconds since 1970.
pub(crate) fn http_date(instant: i64) -> String {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = channel_sdk::json::format_instant(instant);
    // 1970-01-01 was a Thursday.
    let weekday = usize::try_from((instant.div_euclid(86_400_000) + 3).rem_euclid(7)).unwrap_or_default();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let month = part(5, 7).parse::<usize>().ok().and_then(|month| MONTHS.get(month.checked_sub(1)?));
    let (day, month) = (DAYS.get(weekday).unwrap_or(&"Mon"), month.unwrap_or(&"Jan"));
    format!("{day}, {} {month} {} {} GMT", part(8, 10), part(0, 4), part(11, 19))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_origin_is_a_host_and_nothing_that_looks_like_one() {
        for (url, wanted) in [
            ("https://Social.Example/users/a#main-key", Some("https://social.example")),
            ("https://social.example:443?x", Some("https://social.example")),
            ("https://social.example:8443", Some("https://social.example:8443")),
            ("https://social.example@evil.example/", None),
            ("https://social.example\\@evil.example/", None),
            ("http://social.example/", None),
            ("https:///x", None),
            ("https://s\u{f6}cial.example/", None),
            ("acct:a@social.example", None),
            ("", None),
        ] {
            assert_eq!(origin(url).as_deref(), wanted, "{url}");
        }
        assert!(!same_origin("", "") && !same_origin("https://a.example/", "https://a.example.evil.example/"));
    }

    #[test]
    fn ids_are_found_in_every_shape_and_one_of_several_is_none() {
        let value = json!({"a": "x", "b": {"id": "y"}, "c": ["x", {"id": "y"}, 3, null], "d": 5, "e": ["z"]});
        assert_eq!(ids(value.at("c")), ["x", "y"]);
        assert_eq!(only_id(value.at("a")), Some("x"));
        assert_eq!(only_id(value.at("b")), Some("y"));
        assert_eq!(only_id(value.at("e")), Some("z"));
        for none in ["c", "d", "f"] {
            assert_eq!(only_id(value.at(none)), None, "{none}");
        }
    }

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(http_date(1_795_255_200_000), "Sat, 21 Nov 2026 10:00:00 GMT");
        assert_eq!(http_date(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        for far in [i64::MIN, -1, 0, i64::MAX] {
            assert!(http_date(far).ends_with(" GMT"));
        }
    }

    #[test]
    fn a_url_is_signed_by_host_and_target() {
        assert_eq!(target("https://a.example/b?c=%2f#d"), "/b?c=%2f");
        assert_eq!(target("https://a.example"), "/");
        assert_eq!(authority("https://A.example:443/x").as_deref(), Some("a.example"));
        assert_eq!(authority("http://127.0.0.1:3000/x").as_deref(), Some("127.0.0.1:3000"));
    }
}
