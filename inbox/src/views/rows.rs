//! A request's rows as HTML: what `strongroom approvals show` draws, drawn by
//! a browser. Every byte of somebody else's text is there, as itself or as an
//! escape; borders and quotes are ours.

use strongroom_approval::{Manner, Piece, Row, Text, Trust, Value};
use strongroom_protocol::text::hex;

use crate::html::{Attr::Is, Html};

/// Draws rows.
pub fn rows(html: &mut Html, rows: &[Row]) {
    html.tag("div", &[Is("class", "legend")], |html| {
        html.class("span", "untrusted", "written by the agent, checked by nobody");
        html.class("span", "operators", "from the policy");
        html.class("span", "ours", "found by Strongroom");
    });
    html.tag("div", &[Is("class", "rows")], |html| rows.iter().for_each(|one| row(html, one)));
}

fn row(html: &mut Html, row: &Row) {
    let class = match row.trust {
        Trust::Ours => "row",
        Trust::Operators => "row operators",
        Trust::Untrusted => "row untrusted",
    };
    html.tag("div", &[Is("class", class)], |html| {
        html.tag("div", &[Is("class", "label")], |html| {
            html.text(row.label);
            if let Some(number) = row.number {
                html.text(&format!(" {number}"));
            }
            for value in &row.values {
                if let Value::Text(text) = value {
                    html.leaf("small", &[], &format!("{} B", text.bytes));
                }
            }
        });
        html.tag("div", &[Is("class", "says")], |html| {
            for value in &row.values {
                match value {
                    Value::Fact { name, words } => fact(html, name, words),
                    Value::Text(one) => text(html, one, row.trust),
                }
            }
        });
    });
}

fn fact(html: &mut Html, name: &str, words: &str) {
    // Digests are read digit by digit.
    let hex = words.len() >= 32 && words.bytes().all(|b| b.is_ascii_hexdigit());
    let class = if hex { "fact digest" } else { "fact" };
    html.tag("div", &[Is("class", class)], |html| {
        if !name.is_empty() {
            html.class("span", "name", name);
        }
        html.text(words);
    });
}

/// Draws a text of somebody else.
pub fn text(html: &mut Html, text: &Text, trust: Trust) {
    let prose = text.manner == Manner::Prose;
    let class = match (prose, trust) {
        (true, Trust::Untrusted) => "text prose",
        (true, _) => "text policy",
        (false, _) => "text mono",
    };
    if prose && trust == Trust::Untrusted {
        html.class("p", "whose", "the agent's own words, which nobody has checked");
    }
    html.tag("div", &[Is("class", class)], |html| {
        let mut lines = text.pieces.split(|piece| *piece == Piece::LineEnd).peekable();
        let mut first = true;
        while let Some(pieces) = lines.next() {
            let last = lines.peek().is_none();
            html.tag("span", &[Is("class", "line")], |html| {
                if !prose && first {
                    html.class("span", "bar", "\"");
                }
                pieces
                    .iter()
                    .enumerate()
                    .for_each(|(i, one)| piece(html, one, prose && i + 1 == pieces.len()));
                if !prose && last {
                    html.class("span", "bar", "\"");
                }
            });
            first = false;
        }
    });
    for note in &text.notes {
        html.class("p", "said odd", note);
    }
    if let Some(digest) = &text.digest {
        html.class("p", "said", &format!("its sha256 {}", hex(digest)));
    }
}

fn piece(html: &mut Html, piece: &Piece, ends_line: bool) {
    match piece {
        Piece::Plain(text) => {
            // A space at the end of a line could be overlooked where no quote
            // follows it.
            let shown = text.strip_suffix(' ').filter(|_| ends_line);
            html.text(shown.unwrap_or(text));
            if shown.is_some() {
                html.class("span", "esc", "␣");
            }
        }
        Piece::Escape(written) => html.class("span", "esc", written),
        Piece::LineEnd => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(one: &Text) -> String {
        let mut html = Html::default();
        text(&mut html, one, Trust::Untrusted);
        String::from_utf8(html.into_bytes()).unwrap()
    }

    /// What a reader sees: without markup, entities read.
    fn seen(html: &str) -> String {
        let mut text = String::new();
        let mut inside = false;
        for c in html.replace("</span></span>", "\n").chars() {
            match c {
                '<' => inside = true,
                '>' => inside = false,
                c if !inside => text.push(c),
                _ => {}
            }
        }
        let entities =
            [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
        entities.iter().fold(text, |text, (entity, c)| text.replace(entity, c))
    }

    #[test]
    fn every_byte_is_there() {
        for (bytes, want) in [
            (&b"ls"[..], "\"ls\""),
            (b"<script>alert('x')</script>", "\"<script>alert('x')</script>\""),
            (b"a\x1b[2J\xff", "\"a\\x1b[2J\\xff\""),
            (b"x ", "\"x \""),
            ("\u{202e}&amp;".as_bytes(), "\"\\u{202e}&amp;\""),
        ] {
            let html = drawn(&Text::exact(bytes));
            assert!(!html.contains("<script"), "{html}");
            assert!(seen(&html).starts_with(want), "{html}\n{}", seen(&html));
        }
        let html = drawn(&Text::prose(b"one \n\n</div><h1>Approved</h1>"));
        assert!(!html.contains("<h1") && html.contains("␣"), "{html}");
        assert_eq!(html.matches("class=\"line\"").count(), 3);
    }
}
