//! How requests and violations are put down in records, and commands in the
//! operator's status: short enough to fit a packet, whatever the agent sent.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use strongroom_protocol::channel::Violation;
use strongroom_protocol::channel::r::{ActionRecord, RECORD_ARGS};
use strongroom_protocol::codec::WireError;
use strongroom_protocol::limits::{MAX_ARG, MAX_PATH, MAX_REASON};
use strongroom_protocol::plan::Rule;
use strongroom_protocol::types::{Arg, List, Name, PathBytes, Reason};

use crate::decide::Request;
use crate::masks::Masks;
use crate::session::Session;

/// Bytes of arguments kept in a record.
pub const RECORD_BYTES: usize = 16 * 1024;

/// Bytes of arguments kept of a request refused for coming too fast: the
/// agent must not fill the disk quicker than it runs commands.
pub const HASTY_BYTES: usize = 256;

/// A request as it is recorded, with at most `bytes` of arguments. A value
/// that an agent got hold of does not get into the log by being asked for.
#[must_use]
pub fn action(
    session: &Session,
    connection: u64,
    request: &Request,
    rule: Option<&Rule>,
    bytes: usize,
) -> ActionRecord {
    let (plan, masks) = (&session.plan, &session.masks);
    let hidden = hide_args(masks, request.argv.as_slice());
    let (argv, cut) = shorten(&hidden, RECORD_ARGS, bytes);
    let names = rule.map_or(&[][..], |rule| &rule.credentials);
    let asked = request.credentials.as_slice();
    ActionRecord {
        connection,
        argv: List::new(argv).unwrap_or_else(|_| List::empty()),
        argc: u32::try_from(request.argv.as_slice().len()).unwrap_or(u32::MAX),
        argv_digest: cut.then(|| digest(&hidden)),
        cwd: request.cwd.as_ref().map(|cwd| hide_path(masks, cwd)),
        rule: rule.map(|r| r.name.clone()),
        profile: rule.and_then(|r| plan.profile(r.profile)).map(|p| p.name.clone()),
        credentials: List::new(if asked.is_empty() { names } else { asked }.to_vec())
            .unwrap_or_else(|_| List::empty()),
        reason: request.reason.as_ref().map(|reason| hide_reason(masks, reason)),
        approval: None,
    }
}

/// Arguments without values in them.
#[must_use]
pub fn hide_args(masks: &Masks, argv: &[Arg]) -> Vec<Arg> {
    let hide = |arg: &Arg| {
        let text = fitting(masks.hide(arg.as_bytes())?, MAX_ARG);
        Arg::new(text).ok()
    };
    argv.iter().map(|arg| hide(arg).unwrap_or_else(|| arg.clone())).collect()
}

/// A path without values in it.
#[must_use]
pub fn hide_path(masks: &Masks, path: &PathBytes) -> PathBytes {
    let hidden = masks.hide(path.as_bytes()).map(|text| fitting(text, MAX_PATH));
    hidden.and_then(|text| PathBytes::new(text).ok()).unwrap_or_else(|| path.clone())
}

/// The agent's own words without values in them.
#[must_use]
pub fn hide_reason(masks: &Masks, reason: &Reason) -> Reason {
    let hidden = masks.hide(reason.as_bytes()).map(|text| fitting(text, MAX_REASON));
    hidden.and_then(|text| Reason::new(text).ok()).unwrap_or_else(|| reason.clone())
}

/// Protected names without values in them.
#[must_use]
pub fn names<const MAX: usize>(
    masks: &Masks,
    paths: &List<PathBytes, MAX>,
) -> List<PathBytes, MAX> {
    let hidden = paths.as_slice().iter().map(|path| hide_path(masks, path)).collect();
    List::new(hidden).unwrap_or_else(|_| List::empty())
}

/// A mark can be longer than what it hides.
fn fitting(mut text: Vec<u8>, most: usize) -> Vec<u8> {
    text.truncate(most);
    text
}

/// At most `args` arguments with at most `bytes` bytes together; the longest
/// are cut first. Says whether anything is missing.
#[must_use]
pub fn shorten(argv: &[Arg], args: usize, bytes: usize) -> (Vec<Arg>, bool) {
    let kept = argv.get(..args).unwrap_or(argv);
    let total = |most: usize| kept.iter().map(|a| a.as_bytes().len().min(most)).sum::<usize>();
    let mut most = bytes;
    while total(most) > bytes {
        most /= 2;
    }
    let cut = kept.len() < argv.len() || kept.iter().any(|a| a.as_bytes().len() > most);
    let short = |arg: &Arg| {
        let head = arg.as_bytes().get(..most).unwrap_or(arg.as_bytes());
        Arg::new(head).unwrap_or_else(|_| arg.clone())
    };
    (kept.iter().map(short).collect(), cut)
}

/// SHA-256 over arguments, each closed by a NUL.
#[must_use]
pub fn digest(argv: &[Arg]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for arg in argv {
        hash.update(arg.as_bytes());
        hash.update([0]);
    }
    hash.finalize().into()
}

/// SHA-256 over all arguments of a command as they are recorded, values in them
/// masked.
#[must_use]
pub fn argv_digest(action: &ActionRecord) -> [u8; 32] {
    action.argv_digest.unwrap_or_else(|| digest(action.argv.as_slice()))
}

/// The rule of a channel that was broken, as a record has it.
#[must_use]
pub fn rule_of(violation: Violation) -> &'static str {
    match violation {
        Violation::Truncated => "truncated",
        Violation::UnknownKind => "unknown-kind",
        Violation::OutOfState => "out-of-state",
        Violation::WrongFds => "wrong-fds",
        Violation::OverBudget => "over-budget",
        Violation::Body(WireError::TooBig) => "too-big",
        Violation::Body(WireError::Malformed) => "malformed",
        Violation::Body(WireError::TrailingBytes) => "trailing-bytes",
    }
}

/// A time as channels have it.
#[must_use]
pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A name written in this crate. Each one is checked by a test.
#[must_use]
pub fn name(text: &'static str) -> Name {
    Name::new(text).unwrap_or_else(|_| unreachable!("names in the source are names"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(lengths: &[usize]) -> Vec<Arg> {
        lengths.iter().map(|n| Arg::new(vec![b'x'; *n]).unwrap()).collect()
    }

    fn lengths(args: &[Arg]) -> Vec<usize> {
        args.iter().map(|a| a.as_bytes().len()).collect()
    }

    #[test]
    fn the_longest_are_cut_first() {
        let (kept, cut) = shorten(&argv(&[3, 5, 100, 0]), 64, 40);
        assert_eq!((lengths(&kept), cut), (vec![3, 5, 20, 0], true));
        let (kept, cut) = shorten(&argv(&[3, 5]), 64, 8);
        assert_eq!((lengths(&kept), cut), (vec![3, 5], false));
        let (kept, cut) = shorten(&argv(&[1, 1, 1]), 2, 8);
        assert_eq!((lengths(&kept), cut), (vec![1, 1], true));
        let (kept, cut) = shorten(&argv(&[1, 1]), 2, 1);
        assert_eq!((lengths(&kept), cut), (vec![0, 0], true));
    }

    #[test]
    fn nothing_missing_nothing_hashed_and_the_hash_can_be_redone_by_hand() {
        // printf 'ls\0-l\0' | sha256sum
        let args = [Arg::new("ls").unwrap(), Arg::new("-l").unwrap()];
        let hex = strongroom_protocol::text::hex(&digest(&args));
        assert_eq!(hex, "c4cda919c7c25a49afb34dd20298822f55d716b013a9ff65d3d43e4fd32dbac7");
    }
}
