//! Records that somebody asks for: by time, session, rule, credential and so on.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::folder::{Piece, Segment};
use crate::line::Line;
use crate::schema::{Level, codes, level};
use crate::segment::credentials;
use crate::time;

/// What is asked for. What is left out does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Not before, in microseconds since 1970.
    pub since_us: Option<i64>,
    /// Not after.
    pub until_us: Option<i64>,
    /// Of sessions whose names begin so.
    pub session: Option<String>,
    /// Of this name.
    pub event: Option<String>,
    /// Of this command of a session.
    pub req: Option<u64>,
    /// About this request for approval of a session.
    pub approval: Option<u64>,
    /// Decided by this rule.
    pub rule: Option<String>,
    /// About this credential.
    pub credential: Option<String>,
    /// With this code, or one that follows from what it says.
    pub code: Option<String>,
    /// At least this grave.
    pub level: Option<Level>,
    /// With this text somewhere.
    pub text: Option<String>,
}

impl Filter {
    /// A quick look at the bytes: can they be a record that is asked for?
    fn may_match(&self, bytes: &[u8]) -> bool {
        // Not the code: it may follow from what the record says.
        let wanted = [&self.credential, &self.text, &self.rule];
        let Some(needle) = wanted.into_iter().flatten().next() else {
            return true;
        };
        std::str::from_utf8(bytes).is_ok_and(|text| text.contains(needle.as_str()))
    }

    /// Is it a record that is asked for?
    #[must_use]
    pub fn matches(&self, line: &Line<'_>) -> bool {
        let time = || time::micros(line.time).unwrap_or(i64::MIN);
        let is = |wanted: &Option<String>, name| {
            wanted.as_deref().is_none_or(|wanted| line.text(name) == Some(wanted))
        };
        self.since_us.is_none_or(|since| time() >= since)
            && self.until_us.is_none_or(|until| time() <= until)
            && self.session.as_ref().is_none_or(|session| line.session.starts_with(session))
            && self.event.as_ref().is_none_or(|event| line.event == event)
            && self.req.is_none_or(|req| line.number("req") == Some(req))
            && self.approval.is_none_or(|id| line.number("approval") == Some(id))
            && is(&self.rule, "rule")
            && self.code.as_ref().is_none_or(|wanted| codes(line).any(|code| code == wanted))
            && self.level.is_none_or(|least| level(line) >= least)
            && self.text.as_ref().is_none_or(|text| line.fields.contains(text.as_str()))
            && self
                .credential
                .as_deref()
                .is_none_or(|wanted| credentials(line).any(|name| name == wanted))
    }

    /// Hands the records of these files that are asked for over, in their order.
    ///
    /// # Errors
    /// Of reading the files.
    pub fn select(
        &self,
        segments: &[Segment],
        threads: usize,
        each: &mut dyn FnMut(&[u8], &Line<'_>),
    ) -> io::Result<()> {
        if threads <= 1 || self.credential.is_none() {
            // Many records may come of it: one file after the other.
            return segments.iter().try_for_each(|segment| self.of_segment(segment, each));
        }
        for lines in self.selected(segments, threads)? {
            for bytes in &lines {
                if let Ok(line) = Line::parse(bytes) {
                    each(bytes, &line);
                }
            }
        }
        Ok(())
    }

    fn selected(&self, segments: &[Segment], threads: usize) -> io::Result<Vec<Vec<Vec<u8>>>> {
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..threads.min(segments.len()) {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(segment) = segments.get(index) else { return };
                        let mut lines = Vec::new();
                        let mut take = |bytes: &[u8], _: &Line<'_>| lines.push(bytes.to_vec());
                        let done = self.of_segment(segment, &mut take).map(|()| lines);
                        found.lock().unwrap_or_else(PoisonError::into_inner).push((index, done));
                    }
                });
            }
        });
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.sort_by_key(|(index, _)| *index);
        found.into_iter().map(|(_, lines)| lines).collect()
    }

    fn of_segment(
        &self,
        segment: &Segment,
        each: &mut dyn FnMut(&[u8], &Line<'_>),
    ) -> io::Result<()> {
        let mut take = |piece: Piece<'_>| {
            if let Piece::Line(bytes) = piece
                && self.may_match(bytes)
                && let Ok(line) = Line::parse(bytes)
                && self.matches(&line)
            {
                each(bytes, &line);
            }
        };
        match &self.credential {
            Some(credential) => segment.read_about(credential, &mut take),
            None => segment.read(&mut take),
        }
    }
}
