//! `strongroom write` and `strongroom read`: files with placeholders in them,
//! through the broker.

use std::io::{Read as _, Write as _};

use serde::Serialize;
use strongroom_api::shape;
use strongroom_client::{Content, Error, Line, here};
use strongroom_protocol::channel::a::{Denial, Values, Written};
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::MAX_CONTENT;
use strongroom_protocol::types::CredentialName;

use crate::agent::{refused, told, waiting};
use crate::args::files;
use crate::error::{Failure, print, shown, to_json, warn, warn_raw};
use crate::report;
use crate::style::Style;

/// Writes standard input to a file.
///
/// # Errors
/// A [`Failure`] when it is not known whether the file is written; a refusal
/// is told and gives an exit status.
pub fn write(args: &files::Write, json: bool) -> Result<i32, Failure> {
    let content = content(std::io::stdin().lock())?;
    let path = match here::path(&args.path) {
        Ok(path) => path,
        Err(code) => return Ok(refused(&Denial::from(code), json)),
    };
    let file = Content {
        path,
        mode: args.mode,
        values: if args.plain { Values::Plain } else { Values::Sealed },
        bytes: content,
        reason: args.reason.clone(),
        patience: args.patience.ms(),
    };
    let name = shown(&args.path);
    let written = Line::open().and_then(|mut line| {
        line.write(file, |approval, left_ms| waiting(approval, left_ms, json))
    });
    match written {
        Ok(written) if json => {
            print(&format!("{}\n", to_json(&WrittenJson::new(&name, &written))));
        }
        Ok(written) => {
            for (line, column) in written.near_misses.as_slice() {
                warn(&format!(
                    "{name}:{line}:{column}: this looks like a placeholder, and is written as it stands"
                ));
            }
            print(&format!("{}\n", said(&name, &written)));
        }
        Err(Error::Misplaced(code, spot)) => {
            if json {
                print(&format!("{}\n", report::misplaced(code, &spot)));
            } else {
                let style = Style::of(&std::io::stderr());
                warn_raw(&report::misplaced_text(&name, code, &spot, style));
            }
            return Ok(code.entry().exit);
        }
        Err(error) => return told(error, json),
    }
    Ok(0)
}

/// Prints a sealed file as it was written.
///
/// # Errors
/// As [`write`].
pub fn read(args: &files::Read, json: bool) -> Result<i32, Failure> {
    let path = match here::path(&args.path) {
        Ok(path) => path,
        Err(code) => return Ok(refused(&Denial::from(code), json)),
    };
    let text = match Line::open().and_then(|mut line| line.read(path)) {
        Ok(text) => text,
        Err(error) => return told(error, json),
    };
    if json {
        let read = ReadJson {
            v: 1,
            path: shown(&args.path),
            text: String::from_utf8_lossy(&text).into_owned(),
            text_base64: report::exact(&text),
        };
        print(&format!("{}\n", to_json(&read)));
        return Ok(0);
    }
    // A reader that has gone away is no error of ours.
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(&text).and_then(|()| out.flush());
    Ok(0)
}

/// All of it, unless it is more than a file may have.
fn content(from: impl std::io::Read) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    from.take(MAX_CONTENT as u64 + 1)
        .read_to_end(&mut content)
        .map_err(|e| Failure::new(Code::Internal, format!("standard input: {e}")))?;
    if content.len() > MAX_CONTENT {
        return Err(Failure::new(Code::RequestTooBig, "standard input is over 16 MiB")
            .hint("write less at once"));
    }
    Ok(content)
}

fn said(name: &str, written: &Written) -> String {
    let credentials = names(written).join(", ");
    match (credentials.is_empty(), written.values) {
        (true, _) => format!("{name}: written"),
        (false, Values::Sealed) => {
            format!("{name}: sealed, for commands that are granted {credentials}")
        }
        (false, Values::Plain) => format!("{name}: written with the real values of {credentials}"),
    }
}

fn names(written: &Written) -> Vec<&str> {
    written.credentials.as_slice().iter().map(CredentialName::as_str).collect()
}

#[derive(Serialize)]
struct WrittenJson<'a> {
    v: u8,
    path: &'a str,
    #[serde(flatten)]
    written: shape::Written,
}

impl<'a> WrittenJson<'a> {
    fn new(path: &'a str, written: &Written) -> Self {
        Self { v: 1, path, written: written.into() }
    }
}

#[derive(Serialize)]
struct ReadJson {
    v: u8,
    path: String,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text_base64: Option<String>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use strongroom_protocol::types::List;

    #[test]
    fn what_is_said() {
        let written = |values, names: &[&str]| Written {
            values,
            credentials: List::new(
                names.iter().map(|n| CredentialName::new(*n).unwrap()).collect(),
            )
            .unwrap(),
            near_misses: List::new(vec![(3, 7)]).unwrap(),
        };
        let sealed = written(Values::Sealed, &["A", "B"]);
        assert_eq!(said(".env", &sealed), ".env: sealed, for commands that are granted A, B");
        assert_eq!(said("x", &written(Values::Plain, &[])), "x: written");
        assert_eq!(
            said("x", &written(Values::Plain, &["A"])),
            "x: written with the real values of A"
        );
        assert_eq!(
            to_json(&WrittenJson::new(".env", &sealed)),
            r#"{"v":1,"path":".env","values":"sealed","credentials":["A","B"],"near_misses":[{"line":3,"column":7}]}"#
        );
    }
}
