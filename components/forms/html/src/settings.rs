//! The public settings, read.

use channel_sdk::types::Context;

/// The text of a setting.
fn text<'a>(context: &'a Context, name: &str) -> Option<&'a str> {
    context.settings.iter().find(|setting| setting.name == name).map(|setting| setting.value.as_str())
}

/// Origins in a setting: a text with spaces or commas between them, or a list.
pub(crate) fn origins<'a>(context: &'a Context, name: &str) -> Vec<&'a str> {
    let separates = |c: char| c.is_whitespace() || matches!(c, ',' | '"' | '[' | ']');
    let is_origin = |origin: &&str| {
        let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        rest.is_some_and(|host| {
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:*".contains(&byte))
        })
    };
    let all = text(context, name).unwrap_or_default().split(separates);
    all.map(|origin| origin.trim_end_matches('/')).filter(is_origin).collect()
}

/// Whether a way to answer must be given.
pub(crate) fn contact_required(context: &Context) -> bool {
    text(context, "contact_required") == Some("true")
}

/// Milliseconds in which nobody has filled in a form.
pub(crate) fn min_fill(context: &Context) -> i64 {
    let seconds: i64 = text(context, "min_seconds").and_then(|text| text.trim().parse().ok()).unwrap_or(3);
    seconds.clamp(0, 60) * 1000
}

/// Leading zero bits wanted; 0 is no proof of work.
pub(crate) fn work_bits(context: &Context) -> u32 {
    text(context, "work_bits").and_then(|text| text.trim().parse().ok()).unwrap_or(0u32).min(20)
}
