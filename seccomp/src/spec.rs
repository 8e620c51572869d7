//! The lists as a program can read them: for the generated documentation, and for tests that execute every rule.

use std::fmt;

use crate::{Insn, Net, Unix};

pub use crate::{
    cases::{Probe, cases},
    markdown::markdown,
};

include!(concat!(env!("OUT_DIR"), "/lists.rs"));

/// What a filter answers, `SECCOMP_RET_*` in seccomp(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The call runs.
    Allow,
    /// The process dies of SIGSYS.
    Kill,
    /// The call waits for the worker.
    Notify,
    /// The call fails with this errno.
    Errno(u16),
}

impl Verdict {
    /// Reads the return value of a filter. `None`: no filter of ours returns that.
    pub fn from_ret(ret: u32) -> Option<Self> {
        match (ret & 0xffff_0000, ret & 0xffff) {
            (0x7fff_0000, 0) => Some(Self::Allow),
            (0x8000_0000, 0) => Some(Self::Kill),
            (0x7fc0_0000, 0) => Some(Self::Notify),
            (0x0005_0000, errno) => Some(Self::Errno(errno as u16)),
            _ => None,
        }
    }

    /// The one that wins when both filters are installed. Of two errnos the newer filter's wins; say it first.
    pub fn strictest(self, older: Self) -> Self {
        if older.rank() < self.rank() { older } else { self }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Kill => 0,
            Self::Errno(_) => 1,
            Self::Notify => 2,
            Self::Allow => 3,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow => f.write_str("allow"),
            Self::Kill => f.write_str("kill"),
            Self::Notify => f.write_str("ask the worker"),
            Self::Errno(1) => f.write_str("EPERM"),
            Self::Errno(13) => f.write_str("EACCES"),
            Self::Errno(25) => f.write_str("ENOTTY"),
            Self::Errno(38) => f.write_str("ENOSYS"),
            Self::Errno(95) => f.write_str("EOPNOTSUPP"),
            Self::Errno(97) => f.write_str("EAFNOSUPPORT"),
            Self::Errno(other) => write!(f, "errno {other}"),
        }
    }
}

/// One list, as written in `policies/seccomp/<name>.toml`.
#[derive(Clone, Copy, Debug)]
pub struct List {
    /// File name without its ending.
    pub name: &'static str,
    /// One sentence: whom it binds.
    pub purpose: &'static str,
    /// Verdict for a known number that no entry names. Of no meaning in `setup`, which only adds to `standard`.
    pub unlisted: Verdict,
    /// Verdict for a number that this release does not know.
    pub unknown: Verdict,
    /// In the order allow, rule, refuse.
    pub entries: &'static [Entry],
}

/// System calls that share a verdict and a reason.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Their names.
    pub names: &'static [&'static str],
    /// Their numbers on this architecture; names it does not have are left out.
    pub numbers: &'static [u32],
    /// The reason.
    pub why: &'static str,
    /// The verdict, or how arguments decide it.
    pub body: Body,
}

/// The verdict of an entry.
#[derive(Clone, Copy, Debug)]
pub enum Body {
    /// Whatever the arguments.
    Plain(Verdict),
    /// The first case that holds.
    Rule {
        /// Tried in this order.
        cases: &'static [Case],
        /// If none holds. Of no meaning in `setup`.
        otherwise: Verdict,
    },
}

/// One way through a rule.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The reason, if it needs one beside the entry's.
    pub why: &'static str,
    /// Variants in which it exists.
    pub net: &'static [Net],
    /// Variants in which it exists.
    pub unix: &'static [Unix],
    /// All must hold.
    pub when: &'static [Condition],
    /// Then this.
    pub then: Verdict,
}

/// A test of one argument register.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    /// 0 to 5.
    pub arg: usize,
    /// What is asked of it.
    pub test: Test,
    /// The same in words and constants.
    pub text: &'static str,
}

/// What a condition asks.
#[derive(Clone, Copy, Debug)]
pub enum Test {
    /// The low 32 bits under `mask` are one of `values`.
    LowIn {
        /// Bits that count.
        mask: u32,
        /// What they may be.
        values: &'static [u32],
    },
    /// Bits 32 to 63 are clear.
    HighZero,
    /// All 64 bits are clear.
    Null,
}

/// `AUDIT_ARCH_*` of the programs, <linux/audit.h>.
pub fn audit_arch() -> u32 {
    AUDIT_ARCH
}

/// First number of a foreign calling convention under the same `AUDIT_ARCH` (x32), if there is one.
pub fn foreign_abi() -> Option<u32> {
    FOREIGN_ABI
}

/// Every system call this release knows: name and number, ordered by name.
pub fn numbers() -> &'static [(&'static str, u32)] {
    NUMBERS
}

/// The number of a system call on this architecture.
pub fn number(name: &str) -> Option<u32> {
    NUMBERS
        .binary_search_by_key(&name, |(n, _)| n)
        .ok()
        .and_then(|i| NUMBERS.get(i))
        .map(|(_, nr)| *nr)
}

/// The name of a system-call number.
pub fn name(number: u32) -> Option<&'static str> {
    NUMBERS.iter().find(|(_, nr)| *nr == number).map(|(name, _)| *name)
}

/// All lists: standard, setup, last, deputy, never, broker, recorder.
pub fn lists() -> &'static [List] {
    LISTS
}

/// One list by name.
pub fn list(name: &str) -> Option<&'static List> {
    LISTS.iter().find(|l| l.name == name)
}

impl List {
    /// What the list says of a native call with these arguments.
    pub fn verdict(&self, net: Net, unix: Unix, number: u32, args: &[u64; 6]) -> Verdict {
        if FOREIGN_ABI.is_some_and(|start| number >= start) {
            return Verdict::Kill;
        }
        match self.entries.iter().find(|e| e.numbers.contains(&number)) {
            Some(entry) => entry.body.verdict(net, unix, args),
            None if name(number).is_some() => self.unlisted,
            None => self.unknown,
        }
    }
}

impl Body {
    /// What the entry says of these arguments.
    pub fn verdict(&self, net: Net, unix: Unix, args: &[u64; 6]) -> Verdict {
        match self {
            Self::Plain(verdict) => *verdict,
            Self::Rule { cases, otherwise } => {
                let here = cases.iter().filter(|c| c.net.contains(&net) && c.unix.contains(&unix));
                let mut holding = here.filter(|c| c.when.iter().all(|w| w.holds(args)));
                holding.next().map_or(*otherwise, |c| c.then)
            }
        }
    }
}

impl Condition {
    /// Whether these arguments satisfy it.
    pub fn holds(&self, args: &[u64; 6]) -> bool {
        let value = args.get(self.arg).copied().unwrap_or(0);
        let (low, high) = (value as u32, value >> 32);
        match self.test {
            Test::LowIn { mask, values } => values.contains(&(low & mask)),
            Test::HighZero => high == 0,
            Test::Null => value == 0,
        }
    }
}
