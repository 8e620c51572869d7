//! `strongroom log`: what the log has of an agent's own requests.

use std::time::Duration;

use serde::Serialize;
use strongroom_api::shape::Record;
use strongroom_audit::time;
use strongroom_client::Line;
use strongroom_protocol::channel::a::{Level, Logged};

use crate::agent::told;
use crate::args::files::Log;
use crate::error::{Failure, print, to_json};
use crate::style::Style;

/// Asks page by page, and prints as they come.
///
/// # Errors
/// [`strongroom_protocol::codes::Code::NoSession`] and what goes wrong on the
/// way.
pub fn log(args: &Log, json: bool) -> Result<i32, Failure> {
    let mut line = Line::open()?;
    let style = Style::of(&std::io::stdout());
    let since_ms = args.since.map_or(0, |us| u64::try_from(us / 1000).unwrap_or(0));
    let mut after = 0;
    loop {
        let (list, next) = match line.log(after, since_ms, args.level, args.pattern.clone()) {
            Ok(page) => page,
            Err(error) => return told(error, json),
        };
        for entry in &list {
            print(&if json { object(entry) } else { text(entry, style) });
        }
        after = next;
        if after == 0 {
            return Ok(0);
        }
    }
}

fn text(entry: &Logged, style: Style) -> String {
    let when = time::rfc3339(Duration::from_millis(entry.at_ms));
    let mut line = format!("{} {:<12}", style.faint(&when), entry.event.as_str());
    if let Some(code) = entry.code {
        line.push_str(&format!(" {}", style.bad(&code.to_string())));
    }
    if let Some(req) = entry.req {
        line.push_str(&format!(" #{}", req.0));
    }
    format!("{line} {}\n", entry.text.display())
}

fn object(entry: &Logged) -> String {
    #[derive(Serialize)]
    struct Object {
        v: u8,
        #[serde(flatten)]
        record: Record,
    }
    to_json(&Object { v: 1, record: entry.into() }) + "\n"
}

/// The level with this name.
///
/// # Errors
/// Which there are.
pub fn level(text: &str) -> Result<Level, String> {
    let known = Level::ALL.iter().find(|level| level.as_str() == text);
    known.copied().ok_or_else(|| "info, notice or warning".to_owned())
}
