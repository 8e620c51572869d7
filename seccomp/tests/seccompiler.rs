//! rust-vmm's compiler as a second opinion: the same list, compiled by it, must answer the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use strongroom_seccomp::{
    Insn, Net, Unix,
    interp::{self, Data},
    spec::{self, Body, Condition, List, Test, Verdict},
};

fn action(verdict: Verdict) -> SeccompAction {
    match verdict {
        Verdict::Allow => SeccompAction::Allow,
        Verdict::Kill => SeccompAction::KillProcess,
        Verdict::Errno(errno) => SeccompAction::Errno(errno.into()),
        Verdict::Notify => panic!("seccompiler 0.5 has no notifications"),
    }
}

/// A condition as alternatives, each a set of seccompiler conditions.
fn alternatives(condition: &Condition) -> Vec<SeccompCondition> {
    let arg = u8::try_from(condition.arg).unwrap();
    let new = |len, op, value| SeccompCondition::new(arg, len, op, value).unwrap();
    match condition.test {
        Test::LowIn { mask, values } => values
            .iter()
            .map(|v| new(SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask.into()), (*v).into()))
            .collect(),
        Test::Null => vec![new(SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)],
        Test::HighZero => {
            vec![new(SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(0xffff_ffff << 32), 0)]
        }
    }
}

/// One filter knows one match action, so it answers `matched` for what the list says `matched` to, else `default`.
fn compile(list: &List, net: Net, unix: Unix, matched: Verdict, default: Verdict) -> Vec<Insn> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for entry in list.entries {
        let chains = match &entry.body {
            Body::Plain(verdict) if *verdict == matched => vec![],
            Body::Plain(_) => continue,
            Body::Rule { cases, otherwise } => {
                // Only rules whose every case has one verdict can be said without order.
                if *otherwise == matched
                    || cases.iter().any(|c| c.then != matched && c.then != *otherwise)
                {
                    continue;
                }
                let here = cases.iter().filter(|c| c.net.contains(&net) && c.unix.contains(&unix));
                let mut chains = Vec::new();
                for case in here.filter(|c| c.then == matched) {
                    let mut product = vec![vec![]];
                    for condition in case.when {
                        let next = alternatives(condition);
                        product = product
                            .into_iter()
                            .flat_map(|chain: Vec<SeccompCondition>| {
                                next.iter().map(move |n| {
                                    chain.iter().cloned().chain([n.clone()]).collect()
                                })
                            })
                            .collect();
                    }
                    chains.extend(product.into_iter().map(|c| SeccompRule::new(c).unwrap()));
                }
                if chains.is_empty() {
                    continue;
                }
                chains
            }
        };
        for number in entry.numbers {
            rules.insert(i64::from(*number), chains.clone());
        }
    }
    let filter =
        SeccompFilter::new(rules, action(default), action(matched), TargetArch::x86_64).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    program.iter().map(|f| Insn { code: f.code, jt: f.jt, jf: f.jf, k: f.k }).collect()
}

/// Numbers whose verdict this comparison can express: plain, or a rule with two outcomes that are these two.
fn comparable(list: &List, number: u32, matched: Verdict, default: Verdict) -> bool {
    let two = |v: Verdict| v == matched || v == default;
    match list.entries.iter().find(|e| e.numbers.contains(&number)).map(|e| &e.body) {
        Some(Body::Plain(verdict)) => two(*verdict),
        Some(Body::Rule { cases, otherwise }) => {
            *otherwise == default && cases.iter().all(|c| two(c.then))
        }
        None => two(if spec::name(number).is_some() { list.unlisted } else { list.unknown }),
    }
}

fn compare(name: &str, stack: &[&[Insn]], matched: Verdict, default: Verdict) {
    let (net, unix) = (Net::None, Unix::None);
    let list = spec::list(name).unwrap();
    let theirs = compile(list, net, unix, matched, default);
    let probes: Vec<_> = spec::cases()
        .into_iter()
        .filter(|p| p.list == name && p.net == net && p.unix == unix)
        .collect();
    let mut compared = 0;
    for number in (0..1024).filter(|n| comparable(list, *n, matched, default)) {
        let own = probes.iter().filter(|p| p.number == number).map(|p| p.args);
        for args in own.chain([[0; 6], [u64::MAX; 6]]) {
            let data = Data::native(number, args);
            let ask = |stack: &[&[Insn]]| interp::verdict(stack, &data);
            assert_eq!(ask(stack), ask(&[&theirs]), "{name} {number} {args:x?}");
            compared += 1;
        }
    }
    println!(
        "{name}: {compared} calls, ours {} instructions, theirs {}",
        stack.iter().map(|p| p.len()).sum::<usize>(),
        theirs.len()
    );
    assert!(compared > 1000);
}

#[test]
fn never() {
    compare("never", &[strongroom_seccomp::never()], Verdict::Errno(1), Verdict::Allow);
}

#[test]
fn broker() {
    compare("broker", &[strongroom_seccomp::broker()], Verdict::Allow, Verdict::Kill);
}

#[test]
fn recorder() {
    compare("recorder", &[strongroom_seccomp::recorder()], Verdict::Allow, Verdict::Kill);
}

/// Under `base`, `close` and `last`, where a call has only the outcomes allow and EPERM.
#[test]
fn standard() {
    let close = strongroom_seccomp::close(Net::None, Unix::None);
    let base = strongroom_seccomp::base(Net::None, Unix::None);
    compare(
        "standard",
        &[strongroom_seccomp::last(), close, base],
        Verdict::Allow,
        Verdict::Errno(1),
    );
}
