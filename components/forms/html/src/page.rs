//! The frame of every page: its head, the administration's name, languages, and the headers that keep it safe.

use channel_sdk::types::{Context, Request, Response};
use channel_sdk::{forms::Form, headers, language};

use crate::html::{escape, link};
use crate::words::{self, Words};
use crate::{settings, wire};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("form.js");

/// For whom a page is made.
pub(crate) struct Site<'a> {
    pub(crate) context: &'a Context,
    pub(crate) words: &'static Words,
}

impl<'a> Site<'a> {
    /// In the language a form was filled in, else the one in the query, else the browser's.
    pub(crate) fn of(request: &Request, context: &'a Context, sent: Option<&str>) -> Self {
        let query = Form::parse(request.query.as_deref().unwrap_or_default().as_bytes()).unwrap_or_default();
        let asked = query.filled(wire::LANG);
        let accepts = headers::text(&request.headers, "accept-language");
        let words = words::wanted(&context.profile, sent.or(asked.as_deref()), accepts.as_deref());
        Self { context, words }
    }

    /// A whole page.
    pub(crate) fn page(&self, title: &str, body: &str, with_languages: bool) -> String {
        let Words { tag, skip, .. } = self.words;
        let name = escape(&self.context.profile.name);
        let title = escape(title);
        let path = self.path();
        let (style, script) = (wire::STYLE, wire::SCRIPT);
        let languages = if with_languages { self.languages() } else { String::new() };
        let skip = escape(skip);
        let foot = self.foot();
        format!(
            include_str!("page.html"),
            body = body,
            foot = foot,
            languages = languages,
            name = name,
            path = path,
            script = script,
            skip = skip,
            style = style,
            tag = tag,
            title = title
        )
    }

    /// The path of `public_url`: links from the root work wherever the page is shown.
    pub(crate) fn path(&self) -> String {
        let rest = self.context.public_url.split_once("://").map_or("", |(_, rest)| rest);
        escape(rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or_default())
    }

    fn languages(&self) -> String {
        let offered = words::offered(&self.context.profile);
        if offered.len() < 2 {
            return String::new();
        }
        let items: String = offered
            .iter()
            .map(|words| {
                let (tag, name) = (words.tag, words.own_name);
                let current = if tag == self.words.tag { " aria-current=\"true\"" } else { "" };
                format!("<li><a href=\"?lang={tag}\" hreflang=\"{tag}\" lang=\"{tag}\"{current}>{name}</a></li>\n")
            })
            .collect();
        format!("<nav aria-label=\"{}\">\n<ul>\n{items}</ul>\n</nav>\n", self.words.languages)
    }

    /// A page of the administration, by what it is for.
    pub(crate) fn link(&self, rel: &str) -> Option<String> {
        self.context.profile.links.iter().find(|known| known.rel == rel).and_then(|known| link(&known.url))
    }

    fn foot(&self) -> String {
        let privacy = self.link("privacy").map(|url| {
            let words = self.words.privacy;
            format!("<a href=\"{url}\" target=\"_blank\" rel=\"noopener\">{words}</a>")
        });
        privacy.map_or_else(String::new, |privacy| format!("<footer>\n<p>{privacy}</p>\n</footer>\n"))
    }

    /// A text of the profile in the reader's language.
    pub(crate) fn told(&self, texts: &[channel_sdk::types::Localized]) -> Option<String> {
        language::pick(texts, self.words.tag).map(|text| escape(&text.text)).filter(|text| !text.trim().is_empty())
    }

    /// A page as an answer.
    pub(crate) fn respond(&self, status: u16, page: String) -> Response {
        let mut headers = safe(self.context, "text/html; charset=utf-8");
        headers.push(("content-language".into(), self.words.tag.into()));
        headers.push(("vary".into(), "accept, accept-language".into()));
        headers.push(("cache-control".into(), "no-store".into()));
        Response { status, headers, body: page.into_bytes() }
    }
}

/// Headers of everything a browser shows or runs.
fn safe(context: &Context, content_type: &str) -> Vec<(String, String)> {
    let frames = settings::origins(context, "frame_ancestors").join(" ");
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'self'{}{frames}",
        if frames.is_empty() { "" } else { " " }
    );
    [
        ("content-type", content_type),
        ("content-security-policy", policy.as_str()),
        // Not `no-referrer`: with it browsers send `Origin: null` (Fetch §3.2), by which our own page can't be told from others.
        ("referrer-policy", "same-origin"),
        ("permissions-policy", "camera=(), microphone=(), geolocation=(self)"),
        ("x-content-type-options", "nosniff"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// The style sheet or the script.
pub(crate) fn file(suffix: &str, context: &Context) -> Option<Response> {
    let (content_type, content) = match suffix {
        wire::STYLE => ("text/css; charset=utf-8", STYLE),
        wire::SCRIPT => ("text/javascript; charset=utf-8", SCRIPT),
        _ => return None,
    };
    let mut headers = safe(context, content_type);
    headers.push(("cache-control".into(), "public, max-age=300".into()));
    Some(Response { status: 200, headers, body: content.as_bytes().to_vec() })
}
