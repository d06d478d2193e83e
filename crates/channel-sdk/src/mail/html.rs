//! HTML to plain text. The result is text and nothing else: no markup, no script, no address that was not shown.

/// Longer tags end at their first `>`, quoted or not: what comes in linear size is read in linear time.
const MAX_TAG: usize = 16 * 1024;

/// More blockquotes inside each other are not marked.
const MAX_QUOTES: usize = 20;

#[derive(Default)]
struct Writer {
    text: String,
    /// Line ends owed before the next word.
    breaks: usize,
    space: bool,
    quotes: usize,
    preformatted: usize,
    line_has_text: bool,
}

/// What a person would read.
pub fn to_text(html: &str) -> String {
    let mut writer = Writer::default();
    let mut link: Option<(String, usize)> = None;
    // Elements whose end was looked for in vain: what is left has none either.
    let mut endless: Vec<String> = Vec::new();
    let mut rest = html;
    loop {
        let Some(open) = rest.find('<') else {
            writer.words(rest);
            break;
        };
        writer.words(rest.get(..open).unwrap_or_default());
        rest = rest.get(open + 1..).unwrap_or_default();
        if let Some(comment) = rest.strip_prefix("!--") {
            // `<!-->` and `<!--->` are whole comments (HTML §13.2.5.43).
            let whole = comment.strip_prefix('>').or_else(|| comment.strip_prefix("->"));
            rest = whole.or_else(|| comment.split_once("-->").map(|(_, after)| after)).unwrap_or_default();
            continue;
        }
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c)) {
            writer.words("<");
            continue;
        }
        let (tag, after) = split_tag(rest);
        rest = after;
        let closing = tag.starts_with('/');
        let tag = tag.trim_start_matches('/');
        let name = tag.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default().to_ascii_lowercase();
        if !closing
            && matches!(
                name.as_str(),
                "script" | "style" | "title" | "template" | "noscript" | "svg" | "object" | "iframe" | "head" | "xml"
            )
            && !tag.ends_with('/')
        {
            if !endless.contains(&name) {
                match skip_element(rest, &name) {
                    Some(after) => rest = after,
                    None => {
                        rest = without_end(rest, &name);
                        endless.push(name);
                    }
                }
            }
            continue;
        }
        match (name.as_str(), closing) {
            ("br", _) => writer.line_break(),
            ("p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "table" | "ul" | "ol" | "dl" | "hr", _) => writer.gap(2),
            (
                "div" | "tr" | "section" | "article" | "header" | "footer" | "address" | "dt" | "dd" | "form"
                | "fieldset" | "figure" | "main" | "nav" | "center" | "body" | "html",
                _,
            ) => writer.gap(1),
            ("li", false) => {
                writer.gap(1);
                writer.words("- ");
            }
            ("li", true) => writer.gap(1),
            ("td" | "th", true) => writer.space = true,
            ("pre", false) => {
                writer.gap(1);
                writer.preformatted += 1;
            }
            ("pre", true) => {
                writer.preformatted = writer.preformatted.saturating_sub(1);
                writer.gap(1);
            }
            ("blockquote", false) => {
                writer.gap(1);
                writer.quotes = (writer.quotes + 1).min(MAX_QUOTES);
            }
            ("blockquote", true) => {
                writer.gap(1);
                writer.quotes = writer.quotes.saturating_sub(1);
            }
            ("img", false) => {
                if let Some(alt) = attribute(tag, "alt").filter(|alt| !alt.trim().is_empty()) {
                    writer.words(&alt.replace('<', " "));
                }
            }
            ("a", false) => link = attribute(tag, "href").map(|href| (href, writer.text.len())),
            ("a", true) => {
                if let Some((href, start)) = link.take() {
                    let shown = writer.text.get(start..).unwrap_or_default();
                    let target = plain_link(&href);
                    // Where it leads is shown whenever it is not what the words say.
                    if let Some(target) =
                        target.filter(|target| !shown.contains(target.trim_end_matches('/')) && !shown.is_empty())
                    {
                        writer.words(&format!(" ({target})"));
                    }
                }
            }
            _ => {}
        }
    }
    writer.text.truncate(writer.text.trim_end().len());
    writer.text
}

/// Addresses people can use, without anything that could be mistaken for markup.
fn plain_link(href: &str) -> Option<String> {
    let href = entities(href.trim());
    let lower = href.get(..href.len().min(8)).unwrap_or_default().to_ascii_lowercase();
    let known = ["https://", "http://", "mailto:", "tel:"].iter().any(|scheme| lower.starts_with(scheme));
    let safe =
        href.len() <= 2_000 && !href.contains(|c: char| c.is_control() || c.is_whitespace() || "<>\"".contains(c));
    (known && safe).then(|| {
        href.strip_prefix("mailto:")
            .map_or(href.clone(), |address| address.split('?').next().unwrap_or_default().to_owned())
    })
}

/// The inside of a tag and what follows it. Quoted attribute values may hold `>`.
fn split_tag(text: &str) -> (&str, &str) {
    let mut quote = None;
    let mut value = false;
    for (at, byte) in text.bytes().take(MAX_TAG).enumerate() {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') if value => quote = Some(byte),
            (None, b'>') => return (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
            _ => {}
        }
        if quote.is_none() && !byte.is_ascii_whitespace() {
            value = byte == b'=';
        }
    }
    // A quote that never ends: the first `>` ends the tag after all.
    match text.split_once('>') {
        Some((tag, rest)) => (tag, rest),
        None => (text, ""),
    }
}

/// What follows the element's end tag.
fn skip_element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = text;
    loop {
        rest = rest.split_once("</")?.1;
        let found = rest.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name));
        if found
            && rest
                .get(name.len()..)
                .is_some_and(|after| after.starts_with(|c: char| c.is_whitespace() || c == '>' || c == '/'))
        {
            return Some(rest.split_once('>').map(|(_, after)| after).unwrap_or_default());
        }
    }
}

/// What is left of an element that is never closed: code hides the rest, a head ends where the body begins.
fn without_end<'a>(text: &'a str, name: &str) -> &'a str {
    match name {
        "head" => find_ignore_case(text, "<body").and_then(|body| text.get(body..)).unwrap_or(text),
        "noscript" | "title" | "svg" | "object" | "xml" => text,
        _ => "",
    }
}

fn find_ignore_case(text: &str, wanted: &str) -> Option<usize> {
    text.as_bytes().windows(wanted.len()).position(|window| window.eq_ignore_ascii_case(wanted.as_bytes()))
}

fn attribute(tag: &str, wanted: &str) -> Option<String> {
    let mut rest = tag.split_once(|c: char| c.is_whitespace() || c == '/')?.1;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(rest.len());
        // Zero only where a `=` stands without a name.
        let (name, after) = rest.split_at(end.max(1));
        rest = after.trim_start();
        let mut value = "";
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.trim_start();
            let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
            (value, rest) = match quote {
                Some(quote) => after
                    .get(1..)
                    .unwrap_or_default()
                    .split_once(quote)
                    .unwrap_or((after.get(1..).unwrap_or_default(), "")),
                None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
            };
        }
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value.to_owned());
        }
    }
}

/// The named references of HTML 4 below U+0100 and the punctuation of office programs. (`mail-parser`'s own table finds nothing on 32-bit targets.)
#[rustfmt::skip]
const ENTITIES: [(&str, char); 144] = [
    ("AElig", '\u{c6}'), ("Aacute", '\u{c1}'), ("Acirc", '\u{c2}'), ("Agrave", '\u{c0}'), ("Aring", '\u{c5}'),
    ("Atilde", '\u{c3}'), ("Auml", '\u{c4}'), ("Ccedil", '\u{c7}'), ("Dagger", '\u{2021}'), ("ETH", '\u{d0}'),
    ("Eacute", '\u{c9}'), ("Ecirc", '\u{ca}'), ("Egrave", '\u{c8}'), ("Euml", '\u{cb}'), ("Iacute", '\u{cd}'),
    ("Icirc", '\u{ce}'), ("Igrave", '\u{cc}'), ("Iuml", '\u{cf}'), ("Ntilde", '\u{d1}'), ("OElig", '\u{152}'),
    ("Oacute", '\u{d3}'), ("Ocirc", '\u{d4}'), ("Ograve", '\u{d2}'), ("Oslash", '\u{d8}'), ("Otilde", '\u{d5}'),
    ("Ouml", '\u{d6}'), ("Prime", '\u{2033}'), ("Scaron", '\u{160}'), ("THORN", '\u{de}'), ("Uacute", '\u{da}'),
    ("Ucirc", '\u{db}'), ("Ugrave", '\u{d9}'), ("Uuml", '\u{dc}'), ("Yacute", '\u{dd}'), ("Yuml", '\u{178}'),
    ("aacute", '\u{e1}'), ("acirc", '\u{e2}'), ("acute", '\u{b4}'), ("aelig", '\u{e6}'), ("agrave", '\u{e0}'),
    ("amp", '\u{26}'), ("apos", '\u{27}'), ("aring", '\u{e5}'), ("asymp", '\u{2248}'), ("atilde", '\u{e3}'),
    ("auml", '\u{e4}'), ("bdquo", '\u{201e}'), ("brvbar", '\u{a6}'), ("bull", '\u{2022}'), ("ccedil", '\u{e7}'),
    ("cedil", '\u{b8}'), ("cent", '\u{a2}'), ("copy", '\u{a9}'), ("curren", '\u{a4}'), ("dagger", '\u{2020}'),
    ("darr", '\u{2193}'), ("deg", '\u{b0}'), ("divide", '\u{f7}'), ("eacute", '\u{e9}'), ("ecirc", '\u{ea}'),
    ("egrave", '\u{e8}'), ("emsp", '\u{2003}'), ("ensp", '\u{2002}'), ("eth", '\u{f0}'), ("euml", '\u{eb}'),
    ("euro", '\u{20ac}'), ("fnof", '\u{192}'), ("frac12", '\u{bd}'), ("frac14", '\u{bc}'), ("frac34", '\u{be}'),
    ("ge", '\u{2265}'), ("gt", '\u{3e}'), ("harr", '\u{2194}'), ("hellip", '\u{2026}'), ("iacute", '\u{ed}'),
    ("icirc", '\u{ee}'), ("iexcl", '\u{a1}'), ("igrave", '\u{ec}'), ("infin", '\u{221e}'), ("iquest", '\u{bf}'),
    ("iuml", '\u{ef}'), ("laquo", '\u{ab}'), ("larr", '\u{2190}'), ("ldquo", '\u{201c}'), ("le", '\u{2264}'),
    ("lrm", '\u{200e}'), ("lsaquo", '\u{2039}'), ("lsquo", '\u{2018}'), ("lt", '\u{3c}'), ("macr", '\u{af}'),
    ("mdash", '\u{2014}'), ("micro", '\u{b5}'), ("middot", '\u{b7}'), ("minus", '\u{2212}'), ("nbsp", '\u{a0}'),
    ("ndash", '\u{2013}'), ("ne", '\u{2260}'), ("not", '\u{ac}'), ("ntilde", '\u{f1}'), ("oacute", '\u{f3}'),
    ("ocirc", '\u{f4}'), ("oelig", '\u{153}'), ("ograve", '\u{f2}'), ("ordf", '\u{aa}'), ("ordm", '\u{ba}'),
    ("oslash", '\u{f8}'), ("otilde", '\u{f5}'), ("ouml", '\u{f6}'), ("para", '\u{b6}'), ("permil", '\u{2030}'),
    ("plusmn", '\u{b1}'), ("pound", '\u{a3}'), ("prime", '\u{2032}'), ("quot", '\u{22}'), ("raquo", '\u{bb}'),
    ("rarr", '\u{2192}'), ("rdquo", '\u{201d}'), ("reg", '\u{ae}'), ("rlm", '\u{200f}'), ("rsaquo", '\u{203a}'),
    ("rsquo", '\u{2019}'), ("sbquo", '\u{201a}'), ("scaron", '\u{161}'), ("sect", '\u{a7}'), ("shy", '\u{ad}'),
    ("sup1", '\u{b9}'), ("sup2", '\u{b2}'), ("sup3", '\u{b3}'), ("szlig", '\u{df}'), ("thinsp", '\u{2009}'),
    ("thorn", '\u{fe}'), ("times", '\u{d7}'), ("trade", '\u{2122}'), ("uacute", '\u{fa}'), ("uarr", '\u{2191}'),
    ("ucirc", '\u{fb}'), ("ugrave", '\u{f9}'), ("uml", '\u{a8}'), ("uuml", '\u{fc}'), ("yacute", '\u{fd}'),
    ("yen", '\u{a5}'), ("yuml", '\u{ff}'), ("zwj", '\u{200d}'), ("zwnj", '\u{200c}'),
];

fn character(name: &str) -> Option<char> {
    let Some(number) = name.strip_prefix('#') else {
        return ENTITIES.iter().find(|(known, _)| *known == name).map(|(_, character)| *character);
    };
    let number = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    Some(number.ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// Replaces character references.
fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        // The longest name has 31 characters.
        let end = after.bytes().take(34).position(|byte| byte == b';').filter(|end| *end > 0);
        let name = end
            .and_then(|end| after.get(..end))
            .filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '#'));
        rest = match (name, end) {
            (Some(name), Some(end)) => {
                match character(name) {
                    Some(character) => out.push(character),
                    None => out.extend(["&", name, ";"]),
                }
                after.get(end + 1..).unwrap_or_default()
            }
            _ => {
                out.push('&');
                after
            }
        };
    }
    out.push_str(rest);
    out
}

impl Writer {
    fn gap(&mut self, lines: usize) {
        let owed = if self.line_has_text { lines } else { lines.saturating_sub(1) };
        if !self.text.is_empty() {
            self.breaks = self.breaks.max(owed);
        }
        self.space = false;
    }

    fn line_break(&mut self) {
        if !self.text.is_empty() {
            self.breaks = (self.breaks + 1).min(3);
        }
        self.space = false;
    }

    fn words(&mut self, text: &str) {
        let text = entities(text);
        if self.preformatted > 0 {
            for (index, line) in text.split('\n').enumerate() {
                if index > 0 {
                    self.line_break();
                }
                self.put(&line.replace(['\r', '\0'], ""));
            }
            return;
        }
        for character in text.chars() {
            match character {
                ' ' | '\t' | '\n' | '\r' | '\u{c}' => self.space = true,
                // Soft hyphens, joiners and byte order marks fill the hidden previews of newsletters.
                '\u{ad}' | '\u{200b}' | '\u{200c}' | '\u{feff}' | '\u{34f}' | '\0' => {}
                '\u{a0}' => self.space = true,
                _ => self.put(character.encode_utf8(&mut [0; 4])),
            }
        }
    }

    fn put(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        for _ in 0..self.breaks {
            self.text.push('\n');
            self.line_has_text = false;
        }
        self.breaks = 0;
        if !self.line_has_text {
            for _ in 0..self.quotes {
                self.text.push('>');
            }
            if self.quotes > 0 {
                self.text.push(' ');
            }
        } else if self.space {
            self.text.push(' ');
        }
        self.space = false;
        self.line_has_text = true;
        self.text.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_becomes_what_a_person_reads() {
        for (html, text) in [
            ("<p>Hola &amp; adi&oacute;s</p><p>dos</p>", "Hola & adi\u{f3}s\n\ndos"),
            ("a<br>b<br/>c", "a\nb\nc"),
            ("<div>a</div><div>b</div>", "a\nb"),
            ("<div>a</div><div><br></div><div>b</div>", "a\n\nb"),
            ("<ul><li>uno<li>dos</ul>fin", "- uno\n- dos\n\nfin"),
            ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
            ("<a href=\"https://x.example/a?b=1&amp;c=2\">aqu\u{ed}</a>", "aqu\u{ed} (https://x.example/a?b=1&c=2)"),
            ("<a href='https://x.example/'>https://x.example</a>", "https://x.example"),
            ("<a href=\"javascript:alert(1)\">x</a>", "x"),
            ("<a href=mailto:a@b.example?subject=x>correo</a>", "correo (a@b.example)"),
            ("<head><title>no</title><style>p{a>b}</style></head><body>s\u{ed}", "s\u{ed}"),
            ("<style>x</style ><script>if(a<b){'</p>'}</script>y", "y"),
            ("<script>never closed", ""),
            ("<!-- <p>no</p> -->s\u{ed}<!-- open", "s\u{ed}"),
            ("1 < 2 &lt;b&gt; &#233;&#xe9; &nbsp;x &unknown; &", "1 < 2 <b> \u{e9}\u{e9} x &unknown; &"),
            ("<pre>a\n  b</pre>c", "a\n  b\nc"),
            ("<blockquote>a<br>b<blockquote>c</blockquote></blockquote>d", "> a\n> b\n>> c\nd"),
            ("<img src=cid:1 alt='foto &lt;b&gt;'>", "foto <b>"),
            ("<p title=\"a>b\">x", "x"),
            ("<p title=\">x</p>y", "x\n\ny"),
            ("<o:p>&nbsp;</o:p>x", "x"),
            ("", ""),
        ] {
            assert_eq!(to_text(html), text, "{html}");
        }
    }

    #[test]
    fn hostile_html_is_bounded_work() {
        for piece in [
            "<",
            "<a ",
            "<a href=\"",
            "<blockquote>",
            "<!--",
            "&",
            "&#",
            "<script>",
            "</",
            "<p x=",
            "<head>",
            "\u{1f600}<",
        ] {
            let _ = to_text(&piece.repeat(50_000));
        }
    }

    #[test]
    fn no_prefix_panics() {
        let html = "<p class=\"a\" \u{f1}='x'>H\u{f1}&oacute;<a href='https://\u{f1}'>\u{f1}</a><!-- \u{f1} --><script>\u{f1}</script><img alt=\u{f1}>";
        for end in 0..html.len() {
            let _ = to_text(&String::from_utf8_lossy(&html.as_bytes()[..end]));
            let _ = to_text(&String::from_utf8_lossy(&html.as_bytes()[end..]));
        }
    }
}
