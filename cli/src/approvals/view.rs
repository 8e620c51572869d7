//! A request on its way past a human: which of its lines were shown.

use std::time::{Duration, Instant};

use strongroom_approval::{Extent, Kind, Line, Look, Request, draw};
use strongroom_protocol::types::ApprovalId;

use crate::style::Style;

/// A key that comes sooner after a request has appeared was meant for what
/// was there before.
const GLANCE: Duration = Duration::from_millis(400);

/// A request that is looked at.
pub struct View {
    request: Request,
    width: usize,
    lines: Vec<Line>,
    /// The first line on the screen.
    top: usize,
    /// So many are on the screen at once.
    height: usize,
    /// So many lines from the first on were shown.
    shown: usize,
    whole: bool,
    since: Instant,
}

impl View {
    /// Begins with its first line. Of a long request both ends come first,
    /// then all of it.
    pub fn new(request: Request, width: usize) -> Self {
        let mut view = Self {
            request,
            width,
            lines: Vec::new(),
            top: 0,
            height: 1,
            shown: 0,
            whole: false,
            since: Instant::now(),
        };
        view.lay_out();
        view
    }

    fn lay_out(&mut self) {
        let rows = self.request.rows();
        let look = |extent| Look { width: self.width, extent };
        let whole = draw(&rows, &look(Extent::Whole)).lines;
        let ends = draw(&rows, &look(Extent::Ends));
        self.lines = Vec::new();
        if !ends.whole {
            let note = "The ends of what is long; all of it follows.";
            self.lines = ends.lines;
            self.lines.push(Line::default());
            self.lines.push(Line::note(note));
            self.lines.push(Line::default());
        }
        self.lines.extend(whole);
        (self.top, self.shown) = (0, 0);
    }

    /// Takes another width into account. What was not shown whole begins
    /// again.
    pub fn fit(&mut self, width: usize) {
        if self.width != width {
            self.width = width;
            self.lay_out();
        }
    }

    /// Its number.
    pub const fn id(&self) -> ApprovalId {
        self.request.object().id
    }

    /// What a decision on it is bound to.
    pub const fn digest(&self) -> [u8; 32] {
        *self.request.digest()
    }

    /// The lines that are on a screen of this height: from now on they were
    /// shown.
    pub fn page(&mut self, height: usize) -> &[Line] {
        self.height = height;
        self.top = self.top.min(self.lines.len().saturating_sub(height));
        let end = (self.top + height).min(self.lines.len());
        if self.top <= self.shown {
            self.shown = self.shown.max(end);
        }
        self.whole |= self.shown == self.lines.len();
        self.lines.get(self.top..end).unwrap_or_default()
    }

    /// Moves by so many lines, never past one that was not shown.
    pub fn scroll(&mut self, by: isize) {
        self.top = self.top.saturating_add_signed(by).min(self.shown);
    }

    /// Moves by so many screens, which overlap by a line.
    pub fn turn(&mut self, screens: isize) {
        let lines = isize::try_from(self.height).unwrap_or(isize::MAX);
        self.scroll(screens.saturating_mul((lines - 1).max(1)));
    }

    /// Every line was on the screen.
    pub const fn was_shown(&self) -> bool {
        self.whole
    }

    /// It has just appeared.
    pub fn is_fresh(&self) -> bool {
        self.since.elapsed() < GLANCE
    }

    /// Where the screen is, in words.
    pub fn place(&self, height: usize) -> String {
        let all = self.lines.len();
        if all <= height {
            return format!("all {all} lines");
        }
        let end = (self.top + height).min(all);
        let more = if end < all { ", more below" } else { "" };
        format!("lines {} to {end} of {all}{more}", self.top + 1)
    }
}

/// Lines with the marks of a style, each with its end.
pub fn coloured(lines: &[Line], style: Style) -> String {
    lines.iter().map(|line| coloured_line(line, style) + "\n").collect()
}

/// One line, without its end.
pub fn coloured_line(line: &Line, style: Style) -> String {
    let spans = line.0.iter().map(|span| match span.kind {
        Kind::Label => style.strong(&span.text),
        Kind::Ours | Kind::Plain => span.text.clone(),
        Kind::Bar => style.faint(&span.text),
        Kind::Escape => style.bad(&span.text),
        Kind::Note => style.odd(&span.text),
    });
    spans.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sample::question;

    fn view(text: &str) -> View {
        View::new(Request::read(&question(7, text).encode().unwrap()).unwrap(), 80)
    }

    #[test]
    fn all_was_shown_when_every_line_was() {
        let mut short = view("May I?");
        assert!(!short.was_shown(), "not yet");
        short.page(40);
        assert!(short.was_shown());

        let mut long = view(&"line\n".repeat(100));
        let all = long.lines.len();
        assert!(all > 120, "both ends, then all: {all}");
        long.page(20);
        // Nobody gets to the end but through what is between.
        long.scroll(1_000);
        assert_eq!(long.top, 20);
        long.page(20);
        long.scroll(-1_000);
        long.page(20);
        assert!(!long.was_shown());
        // Another width begins again.
        long.fit(100);
        assert_eq!((long.top, long.shown), (0, 0));
        let mut pages = 0;
        while !long.was_shown() {
            long.page(20);
            long.turn(1);
            pages += 1;
        }
        assert!(pages >= all / 20, "{pages} pages for {all} lines");
        assert!(
            long.place(20).ends_with(&format!("of {}", long.lines.len())),
            "{}",
            long.place(20)
        );
        long.fit(80);
        assert!(long.was_shown(), "it stays so");
    }
}
