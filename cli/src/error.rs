//! How a verb fails: a code of the closed set, what it was in this case, the
//! exit status. Text for people on standard error, or one JSON object.

use std::io::Write;

use serde::Serialize;
use strongroom_protocol::codes::{Code, Entry};
use strongroom_protocol::text::visible;

use crate::style::Style;

/// Why a verb failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The code; it gives the exit status.
    pub code: Code,
    /// What it was in this case; may have several lines, may be empty.
    pub message: String,
    /// What to do, where that is better known here than in the table.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with a message of its own.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit status.
    pub fn exit(&self) -> i32 {
        self.code.entry().exit
    }

    fn instead(&self) -> &str {
        self.hint.as_deref().unwrap_or(self.code.entry().instead)
    }

    /// The text for people.
    pub fn text(&self, style: Style) -> String {
        let Entry { code, what, .. } = self.code.entry();
        let head = style.bad(&format!("{code}: {what}"));
        let body = match self.message.as_str() {
            "" => String::new(),
            one if !one.contains('\n') => format!(": {one}"),
            many => format!("\n{}", many.trim_end()),
        };
        format!(
            "strongroom: {head}{body}\n  instead: {}\n  more: strongroom explain {code}\n",
            self.instead()
        )
    }

    /// The object for programs, without a line end.
    pub fn json(&self) -> String {
        let Entry { code, what, exit, ask, .. } = self.code.entry();
        let message = (!self.message.is_empty()).then_some(self.message.as_str());
        let error = ErrorJson {
            code: code.to_string(),
            what,
            message,
            instead: self.instead(),
            ask: ask.as_str(),
        };
        to_json(&FailureJson { v: 1, error, exit: *exit })
    }

    /// Tells about it, and gives the exit status. `run` has given standard
    /// output to the agent, so there an object goes to standard error.
    pub fn report(&self, json: bool, stdout_is_ours: bool) -> i32 {
        match (json, stdout_is_ours) {
            (true, true) => print(&format!("{}\n", self.json())),
            (true, false) => warn_raw(&format!("{}\n", self.json())),
            (false, _) => warn_raw(&self.text(Style::of(&std::io::stderr()))),
        }
        self.exit()
    }
}

impl From<strongroom_client::Error> for Failure {
    fn from(error: strongroom_client::Error) -> Self {
        Self::new(error.code(), error.message())
    }
}

impl From<strongroom_client::Lost> for Failure {
    fn from(lost: strongroom_client::Lost) -> Self {
        Self::new(lost.code(), lost.message())
    }
}

#[derive(Serialize)]
struct FailureJson<'a> {
    v: u8,
    error: ErrorJson<'a>,
    exit: i32,
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    code: String,
    what: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    instead: &'a str,
    ask: &'a str,
}

/// Serialises one of our own types: plain structs with string keys, which
/// cannot fail.
pub fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

/// Writes to standard output. A reader that has gone away is no error of ours.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a line about this run to standard error.
pub fn warn(line: &str) {
    warn_raw(&format!("strongroom: {line}\n"));
}

/// Writes to standard error.
pub fn warn_raw(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// A path as people may see it.
pub fn shown(path: &std::path::Path) -> String {
    visible(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_failure() {
        let failure = Failure::new(Code::StateUnusable, "/x is a symbolic link");
        assert_eq!(
            failure.text(Style::PLAIN),
            "strongroom: SR707: the state folder cannot be used: /x is a symbolic link\n  \
             instead: see the message for what is wrong with it, or give another with --state\n  \
             more: strongroom explain SR707\n"
        );
        assert_eq!(failure.exit(), 78);
    }

    #[test]
    fn json_of_a_failure() {
        let failure = Failure::new(Code::NoSession, "").hint("start one");
        assert_eq!(
            failure.json(),
            r#"{"v":1,"error":{"code":"SR503","what":"there is no session here to talk to","instead":"start one","ask":"no"},"exit":125}"#
        );
    }
}
