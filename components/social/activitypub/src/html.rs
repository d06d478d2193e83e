//! HTML, in which the Fediverse writes: theirs becomes text and nothing else, ours is made of text.

use channel_sdk::mail::to_text;

/// What a person would read. Mentions and hashtags are links to profiles and searches: their text alone is what was written.
pub(crate) fn text(html: &str) -> String {
    let mut plain = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find("<a ") {
        let (before, tag) = rest.split_at_checked(at).unwrap_or((rest, ""));
        plain.push_str(before);
        let (inside, after) = tag.split_once('>').unwrap_or((tag, ""));
        let is_name = inside.split_once("class=").is_some_and(|(_, class)| {
            let quote = class.chars().next().filter(|c| matches!(c, '"' | '\'')).unwrap_or(' ');
            let class = class.trim_start_matches(quote).split(quote).next().unwrap_or_default();
            class.split_ascii_whitespace().any(|word| matches!(word, "mention" | "hashtag" | "u-url"))
        });
        plain.push_str(if is_name { "<a" } else { inside });
        plain.push('>');
        rest = after;
    }
    plain.push_str(rest);
    to_text(&plain)
}

/// Text inside an element or an attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(character),
            character if character.is_control() => {}
            character => escaped.push(character),
        }
    }
    escaped
}

/// Paragraphs and lines as they are, and links that can be followed: other servers make none of themselves.
pub(crate) fn of(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let paragraphs = text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
    paragraphs
        .map(|paragraph| {
            let lines: Vec<String> = paragraph.lines().map(line).collect();
            format!("<p>{}</p>", lines.join("<br>"))
        })
        .collect()
}

fn line(line: &str) -> String {
    let words: Vec<String> = line.split(' ').map(word).collect();
    words.join(" ")
}

fn word(word: &str) -> String {
    let url = word.trim_end_matches(['.', ',', ';', ':', '!', '?', ')']);
    if !url.starts_with("https://") || url.len() <= "https://".len() {
        return escape(word);
    }
    let after = word.get(url.len()..).unwrap_or_default();
    let url = escape(url);
    format!("<a href=\"{url}\" rel=\"nofollow noopener\">{url}</a>{}", escape(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mastodon_writes_becomes_what_the_person_wrote() {
        for (html, wanted) in [
            (
                "<p><span class=\"h-card\" translate=\"no\"><a href=\"https://city.example/@vilanova\" class=\"u-url mention\">@<span>vilanova</span></a></span> Bon dia</p>",
                "@vilanova Bon dia",
            ),
            (
                "<p>Vegeu <a href=\"https://example.org/a/very/long\" rel=\"nofollow\"><span class=\"invisible\">https://</span><span class=\"ellipsis\">example.org/a/</span><span class=\"invisible\">very/long</span></a></p>",
                "Vegeu https://example.org/a/very/long",
            ),
            (
                "<a href=\"https://s.example/tags/fuga\" class=\"mention hashtag\" rel=\"tag\">#<span>fuga</span></a>",
                "#fuga",
            ),
            ("<p>a<script>alert(1)</script><img src=x onerror=alert(1)></p>", "a"),
            ("<a href=\"javascript:alert(1)\">x</a>", "x"),
            ("<a ", ""),
            ("1 < 2 & <b>3", "1 < 2 & 3"),
        ] {
            assert_eq!(text(html), wanted, "{html}");
        }
    }

    #[test]
    fn nothing_in_a_text_of_ours_is_markup() {
        assert_eq!(
            of("a <b> & \"c\"\r\nd\n\n\nhttps://x.example/?a=1&b=\"><script>."),
            "<p>a &lt;b&gt; &amp; &quot;c&quot;<br>d</p><p><a href=\"https://x.example/?a=1&amp;b=&quot;&gt;&lt;script&gt;\" rel=\"nofollow noopener\">https://x.example/?a=1&amp;b=&quot;&gt;&lt;script&gt;</a>.</p>"
        );
        assert_eq!(of(" \n\n "), "");
    }
}
