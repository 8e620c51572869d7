//! `strongroom audit tail`: the last records, and those to come.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use strongroom_audit::line::{Line, MAX_LINE};
use strongroom_audit::note::witness_line;
use strongroom_audit::query::Filter;
use strongroom_audit::segment::OPEN;

use super::{Out, files, filter, text, unreadable};
use crate::args::audit::Tail;
use crate::error::Failure;
use crate::style::Style;

/// How often the file is looked at.
const EVERY: Duration = Duration::from_millis(200);

/// A checkpoint is held back so long: it is written before it is on the disk,
/// and a power cut in between must not make the log contradict it.
const HELD: Duration = Duration::from_secs(1);

/// Shows the tail.
///
/// # Errors
/// [`Code::LogUnreadable`](strongroom_protocol::codes::Code).
pub fn tail(args: &Tail, json: bool) -> Result<i32, Failure> {
    let (folder, segments) = files(&args.log)?;
    let failed = |e: io::Error| unreadable(&folder, &e);
    let mut show = Show {
        filter: filter(&args.asked),
        json,
        checkpoints: args.checkpoints,
        style: Style::of(&io::stdout()),
        held: VecDeque::new(),
        out: Out::new(),
    };
    let mut last = VecDeque::new();
    let mut follow = Follow::new(&folder);
    // Of the files before the open one, no more than is asked for is kept.
    let (open, closed) = segments.split_last().map_or((None, &[][..]), |(o, c)| (Some(o), c));
    let mut keep = |bytes: &[u8], line: &Line<'_>| {
        if show.asks_for(line) {
            last.push_back(bytes.to_vec());
            if last.len() > args.lines {
                last.pop_front();
            }
        }
    };
    if let (Some(_), Some(newest)) = (open, closed.last()) {
        Filter::default().select(std::slice::from_ref(newest), 1, &mut keep).map_err(failed)?;
    }
    follow
        .read(&mut |bytes| {
            if let Ok(line) = Line::parse(bytes) {
                keep(bytes, &line);
            }
        })
        .map_err(failed)?;
    for bytes in last {
        show.record(&bytes);
    }
    while !args.no_follow && !show.out.gone {
        show.release(false);
        sleep(EVERY);
        follow.read(&mut |bytes| show.record(bytes)).map_err(failed)?;
    }
    show.release(true);
    Ok(0)
}

struct Show {
    filter: Filter,
    json: bool,
    checkpoints: bool,
    style: Style,
    held: VecDeque<(Instant, String)>,
    out: Out,
}

impl Show {
    fn asks_for(&self, line: &Line<'_>) -> bool {
        if self.checkpoints { line.is_checkpoint() } else { self.filter.matches(line) }
    }

    fn record(&mut self, bytes: &[u8]) {
        let Ok(line) = Line::parse(bytes) else { return };
        if !self.asks_for(&line) {
            return;
        }
        match line.note().filter(|_| self.checkpoints) {
            Some(note) => self.held.push_back((Instant::now(), witness_line(&note))),
            None if self.json => self.out.line(bytes),
            None => self.out.line(text::record(&line, self.style).as_bytes()),
        }
    }

    /// Prints what was held back long enough.
    fn release(&mut self, all: bool) {
        while self.held.front().is_some_and(|(since, _)| all || since.elapsed() >= HELD) {
            if let Some((_, line)) = self.held.pop_front() {
                self.out.line(line.trim_end().as_bytes());
            }
        }
        self.out.flush();
    }
}

/// The open file, and the one that takes its place.
struct Follow {
    path: PathBuf,
    file: Option<(File, u64)>,
    rest: Vec<u8>,
}

impl Follow {
    fn new(folder: &Path) -> Self {
        Self { path: folder.join(OPEN), file: None, rest: Vec::new() }
    }

    /// Hands new whole lines over.
    fn read(&mut self, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        loop {
            if let Some((file, _)) = &mut self.file {
                take_lines(file, &mut self.rest, each)?;
            }
            let now = match File::open(&self.path) {
                // Between two files there is none for a moment.
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
                file => file?,
            };
            let inode = now.metadata()?.ino();
            if self.file.as_ref().is_some_and(|(_, known)| *known == inode) {
                return Ok(());
            }
            self.rest.clear();
            self.file = Some((now, inode));
        }
    }
}

fn take_lines(file: &mut File, rest: &mut Vec<u8>, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut chunk = vec![0; 256 * 1024];
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        rest.extend_from_slice(chunk.get(..count).unwrap_or_default());
        let mut taken = 0;
        for line in rest.split_inclusive(|b| *b == b'\n') {
            let Some(whole) = line.strip_suffix(b"\n") else { break };
            each(whole);
            taken += line.len();
        }
        rest.drain(..taken);
        if rest.len() > MAX_LINE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without end"));
        }
    }
}
