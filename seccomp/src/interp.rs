//! An interpreter for the classic BPF that seccomp accepts, so that tests can ask a program without installing it.
//! Semantics: Documentation/networking/filter.rst and `seccomp_check_filter` in kernel/seccomp.c.

use std::{error, fmt};

use crate::{
    Insn,
    spec::{self, Verdict},
};

/// `struct seccomp_data`, <linux/seccomp.h>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data {
    /// System-call number.
    pub nr: u32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Address of the call.
    pub instruction_pointer: u64,
    /// Argument registers.
    pub args: [u64; 6],
}

impl Data {
    /// A call as the programs' own architecture makes it.
    pub fn native(nr: u32, args: [u64; 6]) -> Self {
        Self { nr, arch: spec::audit_arch(), instruction_pointer: 0, args }
    }

    /// The 32-bit word at a byte offset, little-endian as both supported kinds of machine are.
    fn word(&self, offset: u32) -> Option<u32> {
        let half = |value: u64, high: bool| {
            if high { (value >> 32) as u32 } else { value as u32 }
        };
        match offset {
            0 => Some(self.nr),
            4 => Some(self.arch),
            8 | 12 => Some(half(self.instruction_pointer, offset == 12)),
            16..=60 if offset.is_multiple_of(4) => {
                let arg = usize::try_from((offset - 16) / 8).ok()?;
                self.args.get(arg).map(|value| half(*value, offset % 8 == 4))
            }
            _ => None,
        }
    }
}

/// What a program returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `SECCOMP_RET_*` with its data.
    pub ret: u32,
    /// Instructions executed.
    pub steps: usize,
}

/// A program that the kernel would not have accepted, or that uses what this interpreter has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Control left the program at this instruction.
    RanOff(usize),
    /// Unknown operation at this instruction.
    Operation(usize),
    /// Load outside `struct seccomp_data` at this instruction.
    Load(usize),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RanOff(at) => write!(f, "control left the program at instruction {at}"),
            Self::Operation(at) => write!(f, "unknown operation at instruction {at}"),
            Self::Load(at) => write!(f, "load outside seccomp_data at instruction {at}"),
        }
    }
}

impl error::Error for Fault {}

/// Runs a program. Jumps only go forward, so it ends.
pub fn run(program: &[Insn], data: &Data) -> Result<Outcome, Fault> {
    let (mut accumulator, mut at, mut steps) = (0u32, 0usize, 0usize);
    loop {
        let insn = program.get(at).ok_or(Fault::RanOff(at))?;
        steps += 1;
        let branch = |holds: bool| usize::from(if holds { insn.jt } else { insn.jf });
        let skip = match insn.code {
            0x20 => {
                accumulator = data.word(insn.k).ok_or(Fault::Load(at))?;
                0
            }
            0x54 => {
                accumulator &= insn.k;
                0
            }
            0x05 => usize::try_from(insn.k).map_err(|_| Fault::RanOff(at))?,
            0x15 => branch(accumulator == insn.k),
            0x25 => branch(accumulator > insn.k),
            0x35 => branch(accumulator >= insn.k),
            0x45 => branch(accumulator & insn.k != 0),
            0x06 => return Ok(Outcome { ret: insn.k, steps }),
            _ => return Err(Fault::Operation(at)),
        };
        at = at.saturating_add(1).saturating_add(skip);
    }
}

/// What a stack of filters, newest first, answers: the strictest verdict, of equals the newest.
/// `None` if a program is broken or answers what none of ours does.
pub fn verdict(newest_first: &[&[Insn]], data: &Data) -> Option<Verdict> {
    newest_first.iter().try_fold(Verdict::Allow, |so_far, program| {
        let ret = run(program, data).ok()?.ret;
        Some(so_far.strictest(Verdict::from_ret(ret)?))
    })
}
