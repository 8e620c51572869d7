//! `strongroom audit`: reads the log's files. Needs no session, and nothing
//! from the recorder but its files.

mod follow;
mod text;
mod verify;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use strongroom_audit::folder::{Segment, segments};
use strongroom_audit::line::Line;
use strongroom_audit::ocsf;
use strongroom_audit::query::Filter;
use strongroom_protocol::codes::Code;

use crate::args::audit::{Asked, Audit, AuditVerb, Export, Log, Show};
use crate::error::{Failure, shown};
use crate::state::Wanted;
use crate::style::Style;

/// Runs the verb and gives the exit status.
///
/// # Errors
/// [`Code::LogUnreadable`].
pub fn audit(args: &Audit, json: bool) -> Result<i32, Failure> {
    match &args.verb {
        AuditVerb::Verify(args) => verify::verify(args, json),
        AuditVerb::Show(args) => show(args, json),
        AuditVerb::Tail(args) => follow::tail(args, json),
        AuditVerb::Export(args) => export(args),
    }
}

/// The log's folder and the files in it.
fn files(log: &Log) -> Result<(PathBuf, Vec<Segment>), Failure> {
    let folder = match &log.log {
        Some(folder) => folder.clone(),
        None => Wanted::from(log.state.folder.as_deref()).path()?.join("log"),
    };
    let segments = segments(&folder).map_err(|e| unreadable(&folder, &e))?;
    Ok((folder, segments))
}

fn unreadable(folder: &Path, error: &io::Error) -> Failure {
    Failure::new(Code::LogUnreadable, format!("{}: {error}", shown(folder)))
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn filter(asked: &Asked) -> Filter {
    Filter {
        since_us: asked.since,
        until_us: asked.until,
        session: asked.session.clone(),
        event: asked.event.clone(),
        req: asked.command,
        rule: asked.rule.as_ref().map(|rule| rule.as_str().to_owned()),
        approval: asked.approval,
        credential: asked.credential.as_ref().map(|name| name.display()),
        code: asked.code.map(|code| code.to_string()),
        level: asked.level,
        text: asked.text.clone(),
    }
}

/// Standard output, until nobody reads it any more.
struct Out {
    out: io::BufWriter<io::StdoutLock<'static>>,
    gone: bool,
}

impl Out {
    fn new() -> Self {
        Self { out: io::BufWriter::new(io::stdout().lock()), gone: false }
    }

    fn line(&mut self, line: &[u8]) {
        let written = self.out.write_all(line).and_then(|()| self.out.write_all(b"\n"));
        self.gone |= written.is_err();
    }

    fn flush(&mut self) {
        self.gone |= self.out.flush().is_err();
    }
}

fn show(args: &Show, json: bool) -> Result<i32, Failure> {
    let (folder, segments) = files(&args.log)?;
    let style = Style::of(&io::stdout());
    let mut out = Out::new();
    let mut each = |bytes: &[u8], line: &Line<'_>| {
        if !out.gone {
            if json { out.line(bytes) } else { out.line(text::record(line, style).as_bytes()) }
        }
    };
    let done = filter(&args.asked).select(&segments, threads(), &mut each);
    out.flush();
    done.map_err(|e| unreadable(&folder, &e)).map(|()| 0)
}

fn export(args: &Export) -> Result<i32, Failure> {
    let (folder, segments) = files(&args.log)?;
    let failed = |e: io::Error| unreadable(&folder, &e);
    let origin = verify::origin(&segments).map_err(failed)?;
    let mut out = Out::new();
    let mut each = |_: &[u8], line: &Line<'_>| {
        if let Some(event) = ocsf::event(line, &origin).filter(|_| !out.gone) {
            out.line(event.to_string().as_bytes());
        }
    };
    let done = filter(&args.asked).select(&segments, 1, &mut each);
    out.flush();
    done.map_err(failed).map(|()| 0)
}
