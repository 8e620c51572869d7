//! What is wrong, where, and what was expected: one shape for people
//! ([`std::fmt::Display`]) and for programs ([`serde::Serialize`]).

use annotate_snippets::{AnnotationKind, Element, Level, Origin, Renderer, Snippet};
use serde::{Serialize, Serializer};
use strongroom_protocol::codes::Code;
use strongroom_protocol::text::visible;

use crate::source::Site;

/// More than this many of a severity are counted, not kept: nobody reads
/// them, and a file made of mistakes must not make us slow.
const MAX_KEPT: usize = 50;

/// Longer hints go below the excerpt instead of beside the caret.
const MAX_LABEL: usize = 60;

/// Longer messages quote something that is not worth it.
const MAX_MESSAGE: usize = 600;

/// Longer lines are not shown.
const MAX_LINE: usize = 2000;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The policy is refused.
    Error,
    /// It is accepted, and probably not what was meant.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnostic {
    /// The code.
    #[serde(serialize_with = "as_text")]
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// The file as it was named; empty where it is the place, not a file.
    pub file: String,
    /// Line, from 1; 0 without a file.
    pub line: usize,
    /// Column in characters, from 1; 0 without a file.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What was expected, or how to write it; may be empty.
    pub expected: String,
    /// All of it for a terminal, with the line and a caret, without colour.
    pub rendered: String,
    #[serde(skip)]
    site: Option<Site>,
}

impl Diagnostic {
    /// A finding at a place in a file, or about the place we run in.
    #[must_use]
    pub fn new(
        severity: Severity,
        code: Code,
        site: Option<&Site>,
        message: impl AsRef<str>,
        expected: impl AsRef<str>,
    ) -> Self {
        let (line, column) = site.map_or((0, 0), Site::line_column);
        let mut this = Self {
            code,
            severity,
            file: site.map_or_else(String::new, |s| s.source.name.clone()),
            line,
            column,
            // Both may quote the file, and are printed on a terminal.
            message: printable(message.as_ref()),
            expected: printable(expected.as_ref()),
            rendered: String::new(),
            site: site.cloned(),
        };
        this.rendered = this.render(false);
        this
    }

    /// All of it for a terminal, with colour when asked.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let excerpt = self.site.as_ref().and_then(Excerpt::of);
        let beside = excerpt.is_some() && self.expected.len() <= MAX_LABEL;
        let place: Option<Element<'_>> = match (&excerpt, &self.site) {
            (Some(excerpt), _) => {
                let mut mark = AnnotationKind::Primary.span(excerpt.mark.clone());
                if beside && !self.expected.is_empty() {
                    mark = mark.label(format!("expected {}", self.expected));
                }
                let snippet = Snippet::source(excerpt.line).line_start(self.line);
                Some(snippet.path(self.file.as_str()).annotation(mark).into())
            }
            (None, Some(_)) => {
                let origin = Origin::path(self.file.as_str()).line(self.line);
                Some(origin.char_column(self.column).into())
            }
            (None, None) => None,
        };
        let mut group =
            level.primary_title(self.message.as_str()).id(self.code.to_string()).elements(place);
        if !beside && !self.expected.is_empty() {
            group = group.element(Level::HELP.message(format!("expected {}", self.expected)));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

/// The line a finding is about.
struct Excerpt<'s> {
    line: &'s str,
    /// The span in it, cut to this line: a caret under a whole table helps
    /// nobody.
    mark: std::ops::Range<usize>,
}

impl<'s> Excerpt<'s> {
    /// None where the line is too long to be shown.
    fn of(site: &'s Site) -> Option<Self> {
        let text = &site.source.text;
        let start = site.span.start.min(text.len());
        let begin = text.get(..start)?.rfind('\n').map_or(0, |newline| newline + 1);
        let line = text.get(begin..)?.lines().next().unwrap_or("");
        let end = site.span.end.min(begin + line.len()).max(start);
        (line.len() <= MAX_LINE).then(|| Self { line, mark: start - begin..end - begin })
    }
}

/// Escaped and of bounded length: it may quote the file.
fn printable(text: &str) -> String {
    // `visible` doubles backslashes; ours are in advice such as "\u0000".
    let shown =
        text.split('\\').map(|part| visible(part.as_bytes())).collect::<Vec<_>>().join("\\");
    match shown.char_indices().nth(MAX_MESSAGE) {
        Some((cut, _)) => format!("{}…", shown.get(..cut).unwrap_or_default()),
        None => shown,
    }
}

fn as_text<S: Serializer>(code: &Code, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(code)
}

/// Findings, in the order they were made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Diagnostics {
    /// The findings.
    pub list: Vec<Diagnostic>,
    /// How many more there were.
    pub left_out: usize,
}

impl Diagnostics {
    /// Adds a finding.
    pub fn push(&mut self, finding: Diagnostic) {
        if self.full(finding.severity) {
            self.left_out += 1;
        } else {
            self.list.push(finding);
        }
    }

    fn full(&self, severity: Severity) -> bool {
        self.list.iter().filter(|kept| kept.severity == severity).count() == MAX_KEPT
    }

    /// Adds an error of code [`Code::PolicyInvalid`].
    pub fn error(&mut self, site: &Site, message: impl AsRef<str>, expected: impl AsRef<str>) {
        self.error_as(Code::PolicyInvalid, Some(site), message, expected);
    }

    /// Adds an error of any code.
    pub fn error_as(
        &mut self,
        code: Code,
        site: Option<&Site>,
        message: impl AsRef<str>,
        expected: impl AsRef<str>,
    ) {
        if self.full(Severity::Error) {
            self.left_out += 1;
        } else {
            self.list.push(Diagnostic::new(Severity::Error, code, site, message, expected));
        }
    }

    /// Adds a warning.
    pub fn warn(&mut self, site: &Site, message: impl AsRef<str>, expected: impl AsRef<str>) {
        let code = Code::PolicyInvalid;
        self.push(Diagnostic::new(Severity::Warning, code, Some(site), message, expected));
    }

    /// Adds all of another list.
    pub fn append(&mut self, other: Self) {
        self.left_out += other.left_out;
        other.list.into_iter().for_each(|d| self.push(d));
    }

    /// Whether anything refuses the policy.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        // One is left out only where others are kept.
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// The value when there is no error, else the findings. Warnings alone
    /// come back with the value.
    ///
    /// # Errors
    /// The findings, when one of them is an error.
    pub fn unless_errors<T>(self, value: T) -> Result<(T, Self), Self> {
        if self.has_errors() { Err(self) } else { Ok((value, self)) }
    }

    /// The code of the first error, for an exit status or a log line.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.list.iter().find(|d| d.severity == Severity::Error).map(|d| d.code)
    }

    /// All of them for a terminal, with colour when asked.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let mut parts: Vec<String> = self.list.iter().map(|d| d.render(colour)).collect();
        if self.left_out > 0 {
            parts.push(format!("and {} more", self.left_out));
        }
        parts.join("\n\n")
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(finding: Diagnostic) -> Self {
        Self { list: vec![finding], left_out: 0 }
    }
}

impl std::fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}
