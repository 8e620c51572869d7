//! The verbs about decisions of humans, as types.

use std::num::NonZeroU64;

use clap::{Args, Subcommand};
use strongroom_protocol::types::{ApprovalId, Name, Reason};

use super::{State, duration, reason};

/// `strongroom approvals`.
#[derive(Debug, Args)]
#[command(
    after_help = "A decision is bound to the digest of what was shown: to these arguments, these files, this folder, \
these credentials, this session. `approve` therefore shows all of it first, on a terminal; elsewhere it takes the digest \
that `show` prints.\n\n\
Exit status: 0 done; 1 looked at and not decided; 77 refused."
)]
pub struct Approvals {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List what waits for a decision, or was approved and not used yet.
    List {
        #[command(flatten)]
        seat: Seat,
    },
    /// Show a request, every byte of it, and its digest.
    Show {
        #[command(flatten)]
        which: Which,
    },
    /// Approve a request, after all of it was shown.
    Approve {
        #[command(flatten)]
        which: Which,
        /// The digest of the request that was read, from `approvals show`.
        #[arg(long, value_name = "HEX", value_parser = digest)]
        digest: Option<Digest>,
        /// Why, in your own words, for the log.
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: Option<Reason>,
    },
    /// Deny a request. One denial is enough.
    Deny {
        #[command(flatten)]
        which: Which,
        /// Deny only if the request has this digest.
        #[arg(long, value_name = "HEX", value_parser = digest)]
        digest: Option<Digest>,
        /// Why, in your own words: the agent is told.
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: Option<Reason>,
    },
    /// Wait for requests, show them, and decide on them with single keys. Not
    /// on a terminal: print a line for every change.
    Watch {
        #[command(flatten)]
        seat: Seat,
    },
}

/// A request for approval.
#[derive(Debug, Args)]
pub struct Which {
    /// Its number, from `strongroom approvals list`.
    #[arg(value_name = "ID", value_parser = approval)]
    pub id: ApprovalId,
    #[command(flatten)]
    pub seat: Seat,
}

/// Whose connection to a session it is.
#[derive(Debug, Default, Args)]
pub struct Seat {
    #[command(flatten)]
    pub state: State,
    /// Be this approver of the policy, whose token one must be able to read.
    /// Without it the operator.
    #[arg(long = "as", value_name = "NAME", value_parser = super::name)]
    pub approver: Option<Name>,
}

/// `strongroom ask-approval`.
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is done with the answer: it is one. Exit status: 0 yes; 77 no, with the human's words; 75 \
nobody answered in time."
)]
pub struct Question {
    #[command(flatten)]
    pub patience: Patience,
    /// The question.
    #[arg(value_name = "QUESTION", value_parser = reason)]
    pub question: Reason,
}

/// How long to wait for a human.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Patience {
    /// Where a human is asked, wait for the answer at most this long; the
    /// request itself goes on waiting. Without it as long as the request does.
    #[arg(long = "patience", value_name = "TIME", value_parser = duration)]
    most: Option<NonZeroU64>,
    /// Where a human is asked, do not wait for the answer.
    #[arg(long, conflicts_with = "most")]
    no_wait: bool,
}

impl Patience {
    /// Milliseconds; `None`: as long as the request waits.
    pub fn ms(self) -> Option<u64> {
        if self.no_wait { Some(0) } else { self.most.map(NonZeroU64::get) }
    }
}

/// SHA-256 of what is decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

fn digest(text: &str) -> Result<Digest, String> {
    const FORM: &str = "64 hexadecimal digits, as `strongroom approvals show` prints them";
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() == 64).ok_or(FORM)?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = pair.iter().fold(0, |byte, digit| byte << 4 | u8::try_from(*digit).unwrap_or(0));
    }
    Ok(Digest(bytes))
}

fn approval(text: &str) -> Result<ApprovalId, String> {
    text.parse()
        .map(ApprovalId)
        .map_err(|_| "a number, as `strongroom approvals list` shows it".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn digests() {
        let text = "00ff0a".to_owned() + &"Ab".repeat(29);
        let Digest(bytes) = digest(&text).unwrap();
        assert_eq!(bytes.first_chunk(), Some(&[0, 255, 10, 0xab]));
        for bad in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"a".repeat(65), &"é".repeat(32)] {
            assert!(digest(bad).is_err(), "{bad:?}");
        }
    }
}
