//! What the agent's verbs say at the end: JSON for agents, a few lines for
//! people. The shapes are a contract: fields may be added, never changed.

use serde::Serialize;
use strongroom_api::shape;
use strongroom_audit::base64::encode;
use strongroom_protocol::channel::a::{Denial, Outcome, Report, Spot};
use strongroom_protocol::codes::Code;

use crate::style::Style;

/// A command that ran, as one object.
pub fn ended(argv: &[Vec<u8>], report: &Report, stdout: &[u8], stderr: &[u8]) -> String {
    crate::error::to_json(&Ended {
        v: 1,
        argv: argv.iter().map(|a| String::from_utf8_lossy(a).into_owned()).collect(),
        how: report.outcome.into(),
        stdout: String::from_utf8_lossy(stdout).into_owned(),
        stdout_base64: exact(stdout),
        stderr: String::from_utf8_lossy(stderr).into_owned(),
        stderr_base64: exact(stderr),
        account: report.into(),
    })
}

/// A refusal, as one object.
pub fn denied(denial: &Denial) -> String {
    denied_as(denial.code, denial.into())
}

/// A refusal because of a place in a file, as one object.
pub fn misplaced(code: Code, spot: &Spot) -> String {
    denied_as(code, (code, spot).into())
}

/// The same for people, as compilers say it.
pub fn misplaced_text(path: &str, code: Code, spot: &Spot, style: Style) -> String {
    let Spot { key, line, column, context, what } = spot;
    let key = key.as_ref().map_or_else(String::new, |key| format!("{}: ", key.as_str()));
    let head =
        format!("{code}: {path}:{line}:{column}: {key}{} ({})", what.display(), context.as_str());
    format!(
        "strongroom: {}\n  instead: {}\n  more: strongroom explain {code}\n",
        style.bad(&head),
        code.entry().instead
    )
}

fn denied_as(code: Code, denied: shape::Failure) -> String {
    crate::error::to_json(&Denied { v: 1, denied, exit: code.entry().exit })
}

/// A refusal, for people.
pub fn denied_text(denial: &Denial, style: Style) -> String {
    let why = denial.why.as_ref().map(|w| format!("  why: {}\n", w.display()));
    notice(denial.code, why.as_deref().unwrap_or_default(), style)
}

/// What is to be said about a command that ran, for people; mostly nothing.
pub fn notices(report: &Report, style: Style) -> String {
    let mut text = String::new();
    if let Outcome::Ended(code) = report.outcome {
        text.push_str(&notice(code, "", style));
    }
    if report.output_cut {
        text.push_str(&notice(Code::OutputCut, "", style));
    }
    if report.withheld {
        text.push_str(&notice(Code::TooManyMasks, "", style));
    }
    if report.masked > 0 {
        let values = if report.masked == 1 { "value was" } else { "values were" };
        text.push_str(&format!("strongroom: {} secret {values} masked\n", report.masked));
    }
    let names = protected(report);
    if !names.is_empty() {
        text.push_str(&notice(
            Code::ProtectedName,
            &format!("  names: {}\n", names.join(", ")),
            style,
        ));
    }
    text
}

fn notice(code: Code, more: &str, style: Style) -> String {
    let entry = code.entry();
    let head = style.bad(&format!("{code}: {}", entry.what));
    format!(
        "strongroom: {head}\n{more}  instead: {}\n  more: strongroom explain {code}\n",
        entry.instead
    )
}

fn protected(report: &Report) -> Vec<String> {
    report.protected.as_slice().iter().map(|p| p.display()).collect()
}

/// Bytes that are not UTF-8, for those who need them exactly.
pub fn exact(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).is_err().then(|| encode(bytes))
}

#[derive(Serialize)]
struct Ended {
    v: u8,
    argv: Vec<String>,
    #[serde(flatten)]
    how: shape::How,
    stdout: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout_base64: Option<String>,
    stderr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr_base64: Option<String>,
    #[serde(flatten)]
    account: shape::Account,
}

#[derive(Serialize)]
struct Denied {
    v: u8,
    denied: shape::Failure,
    exit: i32,
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
