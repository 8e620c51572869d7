//! HTML that cannot hold somebody's text unescaped: what becomes markup is in
//! this program, and every other text is escaped on its way in. There is no
//! function that takes markup at run time.

use crate::place::Place;

/// An attribute. Texts that are not ours can only be a form's `value`.
#[derive(Debug, Clone, Copy)]
pub enum Attr<'a> {
    /// Any attribute with a value of ours.
    Is(&'static str, &'static str),
    /// A form's value.
    Value(&'a str),
    /// Where a link leads: always to a page of this inbox.
    To(&'a Place),
    /// Where a form goes, likewise.
    Action(&'a Place),
}

/// A piece of HTML.
#[derive(Debug, Default)]
pub struct Html(String);

impl Html {
    /// A document with this content in `html`.
    #[must_use]
    pub fn document(inner: impl FnOnce(&mut Self)) -> Self {
        let mut html = Self("<!doctype html>\n".to_owned());
        html.tag("html", &[Attr::Is("lang", "en")], inner);
        html
    }

    /// An element.
    pub fn tag(
        &mut self,
        name: &'static str,
        attributes: &[Attr<'_>],
        inner: impl FnOnce(&mut Self),
    ) {
        self.void(name, attributes);
        inner(self);
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    /// An element with a text in it.
    pub fn leaf(&mut self, name: &'static str, attributes: &[Attr<'_>], text: &str) {
        self.tag(name, attributes, |html| html.text(text));
    }

    /// An element of a class with a text in it.
    pub fn class(&mut self, name: &'static str, class: &'static str, text: &str) {
        self.leaf(name, &[Attr::Is("class", class)], text);
    }

    /// An element that has no end.
    pub fn void(&mut self, name: &'static str, attributes: &[Attr<'_>]) {
        self.0.push('<');
        self.0.push_str(name);
        for attribute in attributes {
            let path;
            let (name, value) = match attribute {
                Attr::Is(name, value) => (*name, *value),
                Attr::Value(value) => ("value", *value),
                Attr::To(place) => {
                    path = place.to_string();
                    ("href", path.as_str())
                }
                Attr::Action(place) => {
                    path = place.to_string();
                    ("action", path.as_str())
                }
            };
            self.0.push(' ');
            self.0.push_str(name);
            self.0.push_str("=\"");
            self.text(value);
            self.0.push('"');
        }
        self.0.push('>');
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' => self.0.push('\n'),
                // What is somebody else's was made visible before; should
                // anything have been forgotten it does nothing here.
                c if c.is_control() => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
    }

    /// The style of every page. It is the one text that stands as it is.
    pub fn style(&mut self) {
        self.0.push_str("<style>");
        self.0.push_str(crate::style::SHEET);
        self.0.push_str("</style>");
    }

    /// The bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: [&str; 6] = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='x",
        "</textarea><script>",
        "&lt;b&gt;",
        "a\0b\u{1b}[2J\u{85}",
    ];

    fn markup(text: &str) -> bool {
        text.contains(['<', '>', '"', '\'', '\0', '\u{1b}', '\u{85}'])
    }

    #[test]
    fn no_text_becomes_markup() {
        for nasty in NASTY {
            let mut html = Html::default();
            html.text(nasty);
            let text = String::from_utf8(html.into_bytes()).unwrap();
            assert!(!markup(&text), "{text}");

            let mut html = Html::default();
            html.void("input", &[Attr::Is("type", "hidden"), Attr::Value(nasty)]);
            let text = String::from_utf8(html.into_bytes()).unwrap();
            let inside = text
                .strip_prefix("<input type=\"hidden\" value=\"")
                .and_then(|rest| rest.strip_suffix("\">"))
                .unwrap();
            assert!(!markup(inside), "{inside}");
        }
    }

    #[test]
    fn the_style_cannot_end_early() {
        assert!(!crate::style::SHEET.contains('<'));
    }

    #[test]
    fn elements() {
        let mut html = Html::default();
        html.tag("p", &[Attr::Is("class", "a")], |html| {
            html.leaf("a", &[Attr::To(&Place::Audit)], "x & y");
        });
        assert_eq!(
            String::from_utf8(html.into_bytes()).unwrap(),
            "<p class=\"a\"><a href=\"/audit\">x &amp; y</a></p>"
        );
    }
}
