//! One document, written as XML or as JSON. The standard's JSON is its XML by the Spark convention: the element around a list
//! becomes a bare array.

use channel_sdk::xml::Writer;

use crate::wire::Format;

/// A value of a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// `null`, or an empty element.
    Absent,
    Text(String),
    Truth(bool),
    Whole(u32),
    Degrees(f64),
    /// The name of its elements in XML.
    List(&'static str, Vec<Node>),
    Record(Vec<(&'static str, Node)>),
}

impl Node {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn maybe(text: Option<impl Into<String>>) -> Self {
        text.map_or(Self::Absent, Self::text)
    }

    fn json(&self, out: &mut String) {
        match self {
            Self::Absent => out.push_str("null"),
            Self::Text(text) => string(text, out),
            Self::List(_, elements) => {
                out.push('[');
                for (n, element) in elements.iter().enumerate() {
                    separate(n, out);
                    element.json(out);
                }
                out.push(']');
            }
            Self::Record(members) => {
                out.push('{');
                for (n, (name, node)) in members.iter().enumerate() {
                    separate(n, out);
                    string(name, out);
                    out.push(':');
                    node.json(out);
                }
                out.push('}');
            }
            scalar => out.push_str(&scalar.written()),
        }
    }

    /// Numbers and truth are written alike in both formats. A float of ours is always a number: degrees have been compared.
    fn written(&self) -> String {
        match self {
            Self::Truth(truth) => truth.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Degrees(degrees) => degrees.to_string(),
            _ => String::new(),
        }
    }

    fn xml(&self, writer: &mut Writer) {
        match self {
            Self::Absent => {}
            Self::Text(text) => writer.text(text),
            Self::List(name, elements) => {
                for element in elements {
                    writer.open(name, &[]);
                    element.xml(writer);
                    writer.close();
                }
            }
            Self::Record(members) => {
                for (name, node) in members {
                    writer.open(name, &[]);
                    node.xml(writer);
                    writer.close();
                }
            }
            scalar => writer.text(&scalar.written()),
        }
    }
}

fn separate(n: usize, out: &mut String) {
    if n > 0 {
        out.push(',');
    }
}

/// RFC 8259 §7. Half the size of a component is what it links: a JSON library for eight kinds of document is too much.
fn string(text: &str, out: &mut String) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\0'..='\u{1f}' => {
                let code = character as usize;
                out.push_str("\\u00");
                out.extend([code / 16, code % 16].into_iter().filter_map(|digit| HEX.get(digit)));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// The document with this root.
pub(crate) fn write(format: Format, root: &'static str, node: &Node) -> Vec<u8> {
    match format {
        Format::Json => {
            let mut out = String::new();
            node.json(&mut out);
            out.into_bytes()
        }
        Format::Xml => {
            let mut writer = Writer::new(root);
            node.xml(&mut writer);
            writer.finish().into_bytes()
        }
    }
}

/// RFC 7303 would have `application/xml`; the standard names this one.
pub(crate) fn content_type(format: Format) -> &'static str {
    match format {
        Format::Xml => "text/xml; charset=utf-8",
        Format::Json => "application/json; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_a_json_string() {
        for text in ["", "\"\\/", "a\0\u{1}\u{1f}\n\r\t\u{7f}\u{2028}", "ñ€\u{1f600}"] {
            let written = write(Format::Json, "x", &Node::text(text));
            assert_eq!(serde_json::from_slice::<String>(&written).unwrap(), text);
        }
    }

    #[test]
    fn a_list_is_a_bare_array_and_its_elements_are_named() {
        let list = || {
            let request =
                Node::Record(vec![("id", Node::text("1 < 2")), ("note", Node::Absent), ("ok", Node::Truth(true))]);
            Node::List("request", vec![request, Node::Record(vec![("lat", Node::Degrees(40.5))])])
        };
        let text = |format| String::from_utf8(write(format, "service_requests", &list())).unwrap();
        assert_eq!(text(Format::Json), r#"[{"id":"1 < 2","note":null,"ok":true},{"lat":40.5}]"#);
        assert_eq!(
            text(Format::Xml).lines().last().unwrap(),
            "<service_requests><request><id>1 &lt; 2</id><note/><ok>true</ok></request><request><lat>40.5</lat></request></service_requests>"
        );
    }
}
