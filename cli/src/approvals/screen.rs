//! The screen of `approvals watch`, as text: a list, a request, a line for
//! what can be done.

use strongroom_protocol::channel::o::Pending;

use super::table;
use super::view::{View, coloured_line};
use crate::style::Style;

/// To a screen of its own, without a cursor (xterm control sequences).
pub const ENTER: &str = "\x1b[?1049h\x1b[?25l";

/// And back.
pub const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// What stands on it.
pub struct Frame<'a> {
    /// Columns.
    pub width: usize,
    /// Lines.
    pub height: usize,
    /// The first line.
    pub title: &'a str,
    /// What waits; `None`: only one request is looked at.
    pub list: Option<&'a [Pending]>,
    /// The request.
    pub view: Option<&'a mut View>,
    /// What is to be said.
    pub note: &'a str,
    /// What can be done.
    pub keys: &'a str,
    /// Colours.
    pub style: Style,
}

impl Frame<'_> {
    /// The text that draws it over what is there.
    pub fn draw(self) -> String {
        let Self { width, height, title, list, view, note, keys, style } = self;
        let mut lines = vec![style.strong(&clip(title, width))];
        if let Some(list) = list.filter(|list| !list.is_empty()) {
            let current = view.as_ref().and_then(|v| list.iter().position(|p| p.id == v.id()));
            lines.extend(rows(list, current, width, (height / 5).max(2), style));
        }
        // Below the request: a note, and the keys.
        let room = height.saturating_sub(lines.len() + 3).max(1);
        match view {
            Some(view) => {
                view.fit(width);
                let page: Vec<String> =
                    view.page(room).iter().map(|line| coloured_line(line, style)).collect();
                let place = format!("── request {}, {} ", view.id().0, view.place(room));
                lines.push(style.faint(&ruled(&place, width)));
                lines.extend(page);
            }
            None => {
                lines.push(style.faint(&ruled("", width)));
                lines.push("Nothing waits for you. What comes is shown here by itself.".to_owned());
            }
        }
        lines.resize(height.saturating_sub(2).max(lines.len().min(height)), String::new());
        lines.truncate(height.saturating_sub(2));
        lines.push(style.odd(&clip(note, width)));
        lines.push(style.strong(&clip(keys, width)));
        // Each line is cleared behind its end, not the screen at once, which
        // would flicker.
        format!("\x1b[H{}\x1b[K", lines.join("\x1b[K\n"))
    }
}

/// The list, with the current one marked and in sight.
fn rows(
    list: &[Pending],
    current: Option<usize>,
    width: usize,
    most: usize,
    style: Style,
) -> Vec<String> {
    let text = table::list(list, Style::PLAIN);
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let from = current.unwrap_or(0).saturating_sub(most - 1);
    let mut rows = vec![style.strong(&format!("  {}", clip(head, width.saturating_sub(2))))];
    for (i, line) in lines.enumerate().skip(from).take(most) {
        let mark = if Some(i) == current { "> " } else { "  " };
        rows.push(format!("{mark}{}", clip(line, width.saturating_sub(2))));
    }
    let hidden = list.len().saturating_sub(most);
    if hidden > 0 {
        rows.push(format!("  and {hidden} more"));
    }
    rows
}

fn ruled(text: &str, width: usize) -> String {
    let rest = width.saturating_sub(text.chars().count());
    format!("{text}{}", "─".repeat(rest))
}

/// Cuts a line that does not fit. Beyond ASCII a character counts as two
/// columns, because some terminals draw it so.
pub fn clip(text: &str, width: usize) -> String {
    let mut used = 0;
    let columns = |c: char| if c.is_ascii() { 1 } else { 2 };
    if text.chars().map(columns).sum::<usize>() <= width {
        return text.to_owned();
    }
    let fits = |c: &char| {
        used += columns(*c);
        used + 2 <= width
    };
    let mut cut: String = text.chars().take_while(fits).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sample::{pending, question};
    use strongroom_approval::Request;

    #[test]
    fn a_screen() {
        let list = [pending(6), pending(7)];
        let request = Request::read(&question(7, "May I?\x1b[2J").encode().unwrap()).unwrap();
        let mut view = View::new(request, 70);
        let frame = Frame {
            width: 70,
            height: 24,
            title: "strongroom approvals",
            list: Some(&list),
            view: Some(&mut view),
            note: "",
            keys: "q quit",
            style: Style::PLAIN,
        };
        let text = frame.draw();
        assert_eq!(text.matches('\n').count(), 23, "{text}");
        let plain = text.replace("\x1b[K", "").replace("\x1b[H", "");
        assert!(!plain.contains('\x1b'), "{plain}");
        assert!(plain.contains("\n> 7   1m00s"), "{plain}");
        assert!(plain.contains("── request 7, all "), "{plain}");
        assert!(plain.contains("│ May I?\\x1b[2J\n"), "{plain}");
        assert!(plain.ends_with("\nq quit"), "{plain}");
        assert!(view.was_shown());
        for line in plain.lines() {
            assert!(line.chars().count() <= 70, "{line}");
        }
    }

    #[test]
    fn small_screens_and_long_lists() {
        let list: Vec<Pending> = (0..30).map(pending).collect();
        for height in [1, 5, 8, 24, 60] {
            let request = Request::read(&question(29, "May I?").encode().unwrap()).unwrap();
            let mut view = View::new(request, 40);
            let frame = Frame {
                width: 40,
                height,
                title: "t",
                list: Some(&list),
                view: Some(&mut view),
                note: "",
                keys: "q quit",
                style: Style::PLAIN,
            };
            let text = frame.draw();
            assert!(text.matches('\n').count() < height.max(2), "{height}: {text}");
            assert!(height < 8 || text.contains("> 29"), "{height}: {text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_cut() {
        assert_eq!(clip("abcdef", 6), "abcdef");
        assert_eq!(clip("abcdefg", 6), "abcd…");
        assert_eq!(clip("ааааа", 6), "аа…");
    }
}
