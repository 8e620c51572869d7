//! Rows as lines of text, for a terminal or a pipe.
//!
//! ```text
//! label  1      12 B │ "a text of somebody, and
//!                    ┆ the same line going on"
//!                    ! a note of ours on it
//!   name        words of ours
//! ```
//!
//! What is left of the bar is ours, what is right of it is not, and no line
//! is wider than the terminal: nothing leaves its place. Bars, `!` in their
//! column and corners appear in no text, because there they are escaped.

use strongroom_protocol::text::hex;

use crate::rows::{Row, Trust, Value};
use crate::text::{Manner, Piece, Text};

/// Columns of the label, and where facts begin.
const LABEL: usize = 14;

/// Columns before a bar: the label, and the length of the text.
const BAR: usize = LABEL + 8;

/// No drawing is narrower.
pub const LEAST_WIDTH: usize = 40;

/// Where only the ends are drawn: lines of a text at each end.
const END_LINES: usize = 4;

/// The same: rows of one label at each end.
const END_ROWS: usize = 12;

/// How much is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    Whole,
    /// Of what is long both ends, its length and its digest.
    Ends,
}

/// How to draw.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Columns.
    pub width: usize,
    /// How much.
    pub extent: Extent,
}

/// What a part of a line is, for those who have colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What something is called.
    Label,
    /// Words of ours.
    Ours,
    /// The border of a text.
    Bar,
    /// A text as it is.
    Plain,
    /// An escape in it.
    Escape,
    /// What must be said about it.
    Note,
}

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The text; it can be put on a terminal as it is.
    pub text: String,
    /// What it is.
    pub kind: Kind,
}

/// A line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line(pub Vec<Span>);

impl Line {
    /// A line of ours between others.
    #[must_use]
    pub fn note(words: &str) -> Self {
        Self(vec![Span { text: words.to_owned(), kind: Kind::Note }])
    }

    fn push(&mut self, kind: Kind, text: impl Into<String>) {
        let text = text.into();
        match self.0.last_mut() {
            Some(last) if last.kind == kind => last.text.push_str(&text),
            _ => self.0.push(Span { text, kind }),
        }
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|span| f.write_str(&span.text))
    }
}

/// Lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawing {
    /// They.
    pub lines: Vec<Line>,
    /// Nothing was left out.
    pub whole: bool,
}

impl std::fmt::Display for Drawing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Draws rows.
#[must_use]
pub fn draw(rows: &[Row], look: &Look) -> Drawing {
    let mut pen = Pen {
        width: look.width.max(LEAST_WIDTH),
        ends: look.extent == Extent::Ends,
        drawing: Drawing { lines: Vec::new(), whole: true },
    };
    for series in rows.chunk_by(|a, b| a.label == b.label) {
        pen.series(series);
    }
    pen.drawing
}

struct Pen {
    width: usize,
    ends: bool,
    drawing: Drawing,
}

impl Pen {
    fn line(&mut self, line: Line) {
        self.drawing.lines.push(line);
    }

    fn series(&mut self, rows: &[Row]) {
        let hidden = rows.len().saturating_sub(2 * END_ROWS);
        if !self.ends || hidden == 0 {
            rows.iter().for_each(|row| self.row(row));
            return;
        }
        rows.iter().take(END_ROWS).for_each(|row| self.row(row));
        self.left_out(&format!("{hidden} of {} not shown", rows.len()));
        rows.iter().skip(END_ROWS + hidden).for_each(|row| self.row(row));
    }

    fn left_out(&mut self, words: &str) {
        self.drawing.whole = false;
        let mut line = Line::default();
        line.push(Kind::Ours, " ".repeat(LABEL));
        line.push(Kind::Note, format!("⋯ {words}"));
        self.line(line);
    }

    fn row(&mut self, row: &Row) {
        let mut label = match row.number {
            Some(number) => format!("{} {number}", row.label),
            None => row.label.to_owned(),
        };
        for value in &row.values {
            match value {
                Value::Fact { name, words } => {
                    if !name.is_empty() {
                        label = format!("  {name}");
                    }
                    self.fact(&std::mem::take(&mut label), words);
                }
                Value::Text(text) => {
                    let boxed = row.trust == Trust::Untrusted && text.manner == Manner::Prose;
                    self.text(&std::mem::take(&mut label), text, boxed);
                }
            }
        }
    }

    fn fact(&mut self, label: &str, words: &str) {
        let mut label = label;
        let mut rest = words;
        let mut lead = "";
        loop {
            let room = self.width - LABEL - lead.chars().count();
            // Facts are ASCII, so that any place is a boundary.
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, ""));
            let mut line = Line::default();
            line.push(Kind::Label, format!("{label:<LABEL$}"));
            line.push(Kind::Bar, lead);
            line.push(Kind::Ours, now);
            self.line(line);
            if later.is_empty() {
                return;
            }
            (label, rest, lead) = ("", later, "┆ ");
        }
    }

    fn text(&mut self, label: &str, text: &Text, boxed: bool) {
        let mut label = label.to_owned();
        // A bar may be two columns wide, and a space follows it.
        let room = self.width - BAR - 3;
        let drawn = wrap(text, room);
        if boxed {
            let words = "the agent's own words, which nobody has checked";
            let words = words.get(..room.saturating_sub(2)).unwrap_or(words);
            self.beside(&std::mem::take(&mut label), "", "┌─ ", Kind::Note, words);
        }
        let length = format!("{} B ", text.bytes);
        let hidden = drawn.len().saturating_sub(2 * END_LINES + 1);
        for (i, line) in drawn.iter().enumerate() {
            if self.ends && hidden > 0 && (END_LINES..drawn.len() - END_LINES).contains(&i) {
                if i == END_LINES {
                    let count = hidden + 1;
                    self.left_out(&format!("{count} lines not shown"));
                }
                continue;
            }
            let length = if i == 0 { length.as_str() } else { "" };
            let mut whole = Line::default();
            whole.push(Kind::Label, format!("{:<LABEL$}", std::mem::take(&mut label)));
            whole.push(Kind::Ours, format!("{length:>8}"));
            whole.push(Kind::Bar, if line.goes_on { "┆ " } else { "│ " });
            line.spans.iter().for_each(|span| whole.push(span.kind, span.text.as_str()));
            self.line(whole);
        }
        if boxed {
            self.beside("", "", "└─", Kind::Note, "");
        }
        for note in &text.notes {
            self.note(note, room);
        }
        if let Some(digest) = &text.digest {
            self.fact("  its sha256", &hex(digest));
        }
    }

    fn note(&mut self, note: &str, room: usize) {
        let mut rest = note;
        let mut mark = "! ";
        while !rest.is_empty() {
            let most = rest.char_indices().nth(room).map_or(rest.len(), |(i, _)| i);
            // Between words where there are any.
            let cut = match rest.get(..most).and_then(|head| head.rfind(' ')) {
                Some(space) if most < rest.len() && space > 0 => space,
                _ => most,
            };
            let (now, later) = rest.split_at(cut);
            self.beside("", "", mark, Kind::Note, now);
            (rest, mark) = (later.trim_start(), "  ");
        }
    }

    fn beside(&mut self, label: &str, length: &str, mark: &str, kind: Kind, words: &str) {
        let mut line = Line::default();
        line.push(Kind::Label, format!("{label:<LABEL$}"));
        line.push(Kind::Ours, format!("{length:>8}"));
        line.push(Kind::Bar, mark);
        line.push(kind, words);
        self.line(line);
    }
}

/// A line of a text.
struct Drawn {
    /// The text's line before goes on here.
    goes_on: bool,
    spans: Vec<Span>,
}

/// The smallest thing that is drawn.
#[derive(Clone, Copy)]
struct Cell<'a> {
    text: &'a str,
    kind: Kind,
}

impl Cell<'_> {
    /// Columns: beyond ASCII two, because some terminals draw it so.
    fn width(&self) -> usize {
        self.text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum()
    }

    fn is_space(&self) -> bool {
        self.kind == Kind::Plain && self.text == " "
    }
}

/// Breaks a text into lines that fit.
fn wrap(text: &Text, room: usize) -> Vec<Drawn> {
    let mut wrapper = Wrapper {
        manner: text.manner,
        // One column is for the sign of a space, which may be two wide.
        room: room.saturating_sub(1),
        lines: Vec::new(),
        cells: Vec::new(),
        used: 0,
        goes_on: false,
    };
    let quoted = text.manner == Manner::Exact;
    let quote = Cell { text: "\"", kind: Kind::Bar };
    if quoted {
        wrapper.put(quote);
    }
    for piece in &text.pieces {
        match piece {
            Piece::Plain(run) => {
                let cells = run.char_indices().filter_map(|(i, c)| run.get(i..i + c.len_utf8()));
                cells.for_each(|text| wrapper.put(Cell { text, kind: Kind::Plain }));
            }
            Piece::Escape(written) => wrapper.put(Cell { text: written, kind: Kind::Escape }),
            Piece::LineEnd => wrapper.flush(quoted),
        }
    }
    if quoted {
        wrapper.put(quote);
    }
    wrapper.flush(false);
    wrapper.lines
}

struct Wrapper<'a> {
    manner: Manner,
    room: usize,
    lines: Vec<Drawn>,
    cells: Vec<Cell<'a>>,
    used: usize,
    goes_on: bool,
}

impl<'a> Wrapper<'a> {
    fn put(&mut self, cell: Cell<'a>) {
        if self.used + cell.width() > self.room {
            let moved = self.cells.split_off(self.breaks_at());
            self.flush(true);
            self.used = moved.iter().map(Cell::width).sum();
            self.cells = moved;
        }
        self.used += cell.width();
        self.cells.push(cell);
    }

    /// How many cells stay on a line that is full. A line of words breaks
    /// before a space, which then begins the next one.
    fn breaks_at(&self) -> usize {
        let all = self.cells.len();
        let space = self.cells.iter().rposition(|cell| cell.is_space());
        match space {
            Some(at) if self.manner == Manner::Prose && at > all / 2 => at,
            _ => all,
        }
    }

    /// Ends the line; the next one goes on with it, or is another.
    fn flush(&mut self, next_goes_on: bool) {
        // A space at the end of a line could be overlooked.
        if let Some(last) = self.cells.last_mut().filter(|cell| cell.is_space()) {
            *last = Cell { text: "␣", kind: Kind::Escape };
        }
        let spans =
            self.cells.drain(..).map(|cell| Span { text: cell.text.to_owned(), kind: cell.kind });
        self.lines.push(Drawn { goes_on: self.goes_on, spans: spans.collect() });
        self.used = 0;
        self.goes_on = next_goes_on;
    }
}
