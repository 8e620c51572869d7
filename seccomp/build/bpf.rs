//! Filter to classic BPF: a balanced tree over ranges of system-call numbers, argument checks at its leaves.
//!
//! On installing a filter the kernel runs it once per system-call number to learn which are allowed whatever their
//! arguments (kernel/seccomp.c, `seccomp_cache_prepare`); a tree makes that cheap, and those calls then skip the
//! filter altogether. Only loads of nr and arch, JEQ and JGE with a constant, AND and RET keep that possible.

use std::collections::BTreeSet;

use crate::{
    combine::Filter,
    model::{Arch, Body, Case, Condition, Test, Verdict},
};

/// code, jt, jf, k: <linux/filter.h> `struct sock_filter`.
pub type Insn = (u16, u8, u8, u32);

// <linux/bpf_common.h>
const LD_W_ABS: u16 = 0x20;
const JMP_JA: u16 = 0x05;
const JMP_JEQ_K: u16 = 0x15;
const JMP_JGE_K: u16 = 0x35;
const ALU_AND_K: u16 = 0x54;
const RET_K: u16 = 0x06;
/// `BPF_MAXINSNS`, <linux/bpf_common.h>.
const MAX: usize = 4096;

// Offsets in `struct seccomp_data`, <linux/seccomp.h>.
const NR: u32 = 0;
const ARCH: u32 = 4;
const fn low_half(arg: usize) -> u32 {
    16 + 8 * arg as u32
}
const fn high_half(arg: usize) -> u32 {
    low_half(arg) + 4
}

/// Compiles one filter.
pub fn compile(arch: &Arch, filter: &Filter) -> Result<Vec<Insn>, String> {
    let mut program = vec![
        (LD_W_ABS, 0, 0, ARCH),
        (JMP_JEQ_K, 1, 0, arch.audit),
        ret(Verdict::Kill),
        (LD_W_ABS, 0, 0, NR),
    ];
    program.extend(tree(&ranges(arch, filter)?)?);
    if program.len() > MAX { Err(format!("{} instructions", program.len())) } else { Ok(program) }
}

/// Compiles a filter of a few calls that is installed above one of [`compile`]'s, where foreign architectures have been
/// killed: it does not look at them, and is a chain instead of a tree, for it is on the way of every command.
pub fn compile_short(filter: &Filter) -> Result<Vec<Insn>, String> {
    let mut program = vec![(LD_W_ABS, 0, 0, NR)];
    for (number, body) in &filter.bodies {
        let code = leaf(body)?;
        let over = u8::try_from(code.len()).map_err(|_| "a rule is too long for a jump")?;
        program.push((JMP_JEQ_K, 0, over, *number));
        program.extend(code);
    }
    program.push(ret(filter.unlisted));
    Ok(program)
}

/// First number of each range, and the code for it. Neighbours with the same code are one range.
fn ranges(arch: &Arch, filter: &Filter) -> Result<Vec<(u32, Vec<Insn>)>, String> {
    let known: BTreeSet<u32> = arch.numbers.values().copied().collect();
    let beyond = known.last().map_or(0, |last| last + 1);
    let mut ranges: Vec<(u32, Vec<Insn>)> = Vec::new();
    let mut push = |start: u32, code: Vec<Insn>| {
        if ranges.last().is_none_or(|(_, before)| *before != code) {
            ranges.push((start, code));
        }
    };
    for number in 0..beyond {
        let code = match filter.bodies.get(&number) {
            Some(body) => leaf(body)?,
            None if known.contains(&number) => vec![ret(filter.unlisted)],
            None => vec![ret(filter.unknown)],
        };
        push(number, code);
    }
    push(beyond, vec![ret(filter.unknown)]);
    if let Some(start) = arch.foreign_abi {
        push(start, vec![ret(Verdict::Kill)]);
    }
    Ok(ranges)
}

fn tree(ranges: &[(u32, Vec<Insn>)]) -> Result<Vec<Insn>, String> {
    if let [(_, code)] = ranges {
        return Ok(code.clone());
    }
    let (left, right) = ranges.split_at(ranges.len() / 2);
    let (start, _) = right.first().ok_or("an empty range")?;
    let (left, right) = (tree(left)?, tree(right)?);
    // A conditional jump reaches 255 instructions; beyond that it jumps over a long jump.
    let mut code = match u8::try_from(left.len()) {
        Ok(over) => vec![(JMP_JGE_K, over, 0, *start)],
        Err(_) => vec![(JMP_JGE_K, 0, 1, *start), (JMP_JA, 0, 0, left.len() as u32)],
    };
    code.extend(left);
    code.extend(right);
    Ok(code)
}

fn leaf(body: &Body) -> Result<Vec<Insn>, String> {
    match body {
        Body::Plain(verdict) => Ok(vec![ret(*verdict)]),
        Body::Rule { cases, otherwise } => {
            let mut code = Vec::new();
            for case in cases {
                code.extend(one_case(case)?);
            }
            code.push(ret(*otherwise));
            Ok(code)
        }
    }
}

/// Falls out at its end when a condition does not hold.
fn one_case(case: &Case) -> Result<Vec<Insn>, String> {
    let mut code = vec![ret(case.then)];
    // Built from the back, so that every distance to the end is known.
    for condition in case.when.iter().rev() {
        let mut block = check(condition, code.len())?;
        block.extend(code);
        code = block;
    }
    Ok(code)
}

/// Falls out at its end when the condition holds, else jumps `rest` instructions further.
fn check(condition: &Condition, rest: usize) -> Result<Vec<Insn>, String> {
    let fail = |extra: usize| {
        u8::try_from(rest + extra).map_err(|_| "a case is too long for a jump".to_string())
    };
    let (low, high) =
        ((LD_W_ABS, 0, 0, low_half(condition.arg)), (LD_W_ABS, 0, 0, high_half(condition.arg)));
    Ok(match &condition.test {
        Test::LowIn { mask, values } => {
            let mut code = vec![low];
            if *mask != u32::MAX {
                code.push((ALU_AND_K, 0, 0, *mask));
            }
            for (i, value) in values.iter().enumerate() {
                let after = values.len() - 1 - i;
                let hit = u8::try_from(after).map_err(|_| "too many values".to_string())?;
                let miss = if after == 0 { fail(0)? } else { 0 };
                code.push((JMP_JEQ_K, hit, miss, *value));
            }
            code
        }
        Test::HighZero => vec![high, (JMP_JEQ_K, 0, fail(0)?, 0)],
        Test::Null => vec![low, (JMP_JEQ_K, 0, fail(2)?, 0), high, (JMP_JEQ_K, 0, fail(0)?, 0)],
    })
}

/// `SECCOMP_RET_*`, <linux/seccomp.h>.
fn ret(verdict: Verdict) -> Insn {
    let k = match verdict {
        Verdict::Kill => 0x8000_0000,
        Verdict::Errno(errno) => 0x0005_0000 | u32::from(errno),
        Verdict::Notify => 0x7fc0_0000,
        Verdict::Allow => 0x7fff_0000,
    };
    (RET_K, 0, 0, k)
}
