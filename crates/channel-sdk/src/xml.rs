//! An XML 1.0 writer whose output is well-formed whatever the text is.

/// Writes one document. Element and attribute names are the connector's own constants.
#[derive(Debug)]
pub struct Writer {
    out: String,
    open: Vec<&'static str>,
    /// The last start tag still lacks its `>`.
    pending: bool,
}

impl Writer {
    /// Begins a document with its root element.
    pub fn new(root: &'static str) -> Self {
        let mut writer = Self {
            out: String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"),
            open: Vec::new(),
            pending: false,
        };
        writer.open(root, &[]);
        writer
    }

    /// Opens an element.
    pub fn open(&mut self, name: &'static str, attributes: &[(&'static str, &str)]) {
        self.settle();
        self.out.push('<');
        self.out.push_str(name);
        for (attribute, value) in attributes {
            self.out.push(' ');
            self.out.push_str(attribute);
            self.out.push_str("=\"");
            escape(value, true, &mut self.out);
            self.out.push('"');
        }
        self.open.push(name);
        self.pending = true;
    }

    /// Writes text into the open element.
    pub fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.settle();
        escape(text, false, &mut self.out);
    }

    /// Closes the innermost element; the root stays open until [`Writer::finish`].
    pub fn close(&mut self) {
        if self.open.len() > 1 {
            self.end();
        }
    }

    /// An element with text and nothing else.
    pub fn element(&mut self, name: &'static str, attributes: &[(&'static str, &str)], text: &str) {
        self.open(name, attributes);
        self.text(text);
        self.close();
    }

    /// Closes whatever is open.
    pub fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.end();
        }
        self.out
    }

    fn end(&mut self) {
        let Some(name) = self.open.pop() else {
            return;
        };
        if core::mem::take(&mut self.pending) {
            self.out.push_str("/>");
        } else {
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push('>');
        }
    }

    fn settle(&mut self) {
        if core::mem::take(&mut self.pending) {
            self.out.push('>');
        }
    }
}

/// Whether XML 1.0 §2.2 allows the character at all: the others can't even be written as references.
pub fn is_allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

fn escape(text: &str, attribute: bool, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            // §2.4: `]]>` must not appear in text.
            '>' => out.push_str("&gt;"),
            '"' if attribute => out.push_str("&quot;"),
            // §2.11 and §3.3.3 would turn these into other characters.
            '\r' => out.push_str("&#13;"),
            '\n' if attribute => out.push_str("&#10;"),
            '\t' if attribute => out.push_str("&#9;"),
            _ if is_allowed(character) => out.push(character),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_text_and_attributes_is_escaped() {
        let mut writer = Writer::new("Response");
        writer.open("Say", &[("language", "a\"<&>'\n")]);
        writer.text("</Say><Hangup/> & ]]>\r");
        writer.close();
        writer.element("Hangup", &[], "");
        assert_eq!(
            writer.finish().split_once('\n').unwrap().1,
            "<Response><Say language=\"a&quot;&lt;&amp;&gt;'&#10;\">&lt;/Say&gt;&lt;Hangup/&gt; &amp; ]]&gt;&#13;</Say><Hangup/></Response>"
        );
    }

    #[test]
    fn characters_xml_forbids_are_dropped() {
        let mut writer = Writer::new("R");
        writer.text("a\0\u{b}\u{1b}\u{fffe}\u{ffff}\u{1f600}b");
        assert!(writer.finish().ends_with("<R>a\u{1f600}b</R>"));
    }

    #[test]
    fn whatever_is_left_open_is_closed_and_the_root_is_closed_once() {
        let mut writer = Writer::new("R");
        writer.close();
        writer.open("A", &[]);
        writer.open("B", &[]);
        assert!(writer.finish().ends_with("<R><A><B/></A></R>"));
    }
}
