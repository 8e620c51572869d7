//! How requests and violations are put down in records, and commands in the
//! operator's status: short enough to fit a packet, whatever the agent sent.

use sha2::{Digest as _, Sha256};
use strongroom_protocol::channel::Violation;
use strongroom_protocol::channel::r::{ActionRecord, RECORD_ARGS};
use strongroom_protocol::codec::WireError;
use strongroom_protocol::plan::{Plan, Rule};
use strongroom_protocol::types::{Arg, List, Name};

use crate::decide::Request;

/// Bytes of arguments kept in a record.
pub const RECORD_BYTES: usize = 16 * 1024;

/// Bytes of arguments kept of a request refused for coming too fast: the
/// agent must not fill the disk quicker than it runs commands.
pub const HASTY_BYTES: usize = 256;

/// A request as it is recorded, with at most `bytes` of arguments.
#[must_use]
pub fn action(
    plan: &Plan,
    connection: u64,
    request: &Request,
    rule: Option<&Rule>,
    bytes: usize,
) -> ActionRecord {
    let (argv, cut) = shorten(request.argv.as_slice(), RECORD_ARGS, bytes);
    ActionRecord {
        connection,
        argv: List::new(argv).unwrap_or_else(|_| List::empty()),
        argc: u32::try_from(request.argv.as_slice().len()).unwrap_or(u32::MAX),
        argv_digest: cut.then(|| digest(request.argv.as_slice())),
        cwd: request.cwd.clone(),
        rule: rule.map(|r| r.name.clone()),
        profile: rule.and_then(|r| plan.profile(r.profile)).map(|p| p.name.clone()),
        credentials: request.credentials.clone(),
        reason: request.reason.clone(),
    }
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

fn digest(argv: &[Arg]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for arg in argv {
        hash.update(arg.as_bytes());
        hash.update([0]);
    }
    hash.finalize().into()
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
