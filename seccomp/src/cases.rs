//! Calls that exercise every rule, for a harness that makes them for real in jailed children.

use std::collections::BTreeSet;

use crate::{
    Net, Unix,
    spec::{Body, Case, LISTS, Test, Verdict},
};

/// One call, and what one list says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The list. Probes of `setup` are about the calls it adds: their verdict is that of `base`.
    pub list: &'static str,
    /// The variant it was worked out for.
    pub net: Net,
    /// The variant it was worked out for.
    pub unix: Unix,
    /// System call.
    pub name: &'static str,
    /// Its number.
    pub number: u32,
    /// Registers. Those that no rule reads are zero, so an allowed call usually fails harmlessly; not all do
    /// (`exit`, `pause`, `kill`, `fork`): a harness decides what it makes for real.
    pub args: [u64; 6],
    /// What the list says.
    pub expect: Verdict,
}

/// For each entry of each list and variant, calls on both sides of every condition: each value of a set and its
/// neighbours, each bit of a mask, and all of it again with bits 32 to 63 set.
pub fn cases() -> Vec<Probe> {
    let mut probes = Vec::new();
    for list in LISTS {
        for (net, unix) in variants(list.name) {
            for entry in list.entries {
                // Numbers leave out the names this architecture has not, so names are looked up anew.
                for (name, number) in
                    entry.names.iter().filter_map(|n| Some((*n, crate::spec::number(n)?)))
                {
                    for args in arguments(&entry.body) {
                        let said = entry.body.verdict(net, unix, &args);
                        let expect = if list.name == "setup" {
                            base(said, net, unix, number, &args)
                        } else {
                            said
                        };
                        probes.push(Probe {
                            list: list.name,
                            net,
                            unix,
                            name,
                            number,
                            args,
                            expect,
                        });
                    }
                }
            }
        }
    }
    probes
}

/// `base` allows what either list allows; for the rest `standard` has the word.
fn base(setup: Verdict, net: Net, unix: Unix, number: u32, args: &[u64; 6]) -> Verdict {
    match crate::spec::list("standard") {
        Some(standard) if setup != Verdict::Allow => standard.verdict(net, unix, number, args),
        _ => setup,
    }
}

fn variants(list: &str) -> Vec<(Net, Unix)> {
    if list != "standard" && list != "setup" {
        return vec![(Net::None, Unix::None)];
    }
    let nets = [Net::None, Net::Loopback, Net::Open];
    let unixes = [Unix::All, Unix::Seqpacket, Unix::None];
    nets.iter().flat_map(|net| unixes.iter().map(|unix| (*net, *unix))).collect()
}

/// Around each case: one call that satisfies it, then every change of one argument.
fn arguments(body: &Body) -> BTreeSet<[u64; 6]> {
    let mut all = BTreeSet::from([[0; 6]]);
    let Body::Rule { cases, .. } = body else {
        return all;
    };
    for case in *cases {
        let satisfied = satisfying(case);
        all.insert(satisfied);
        for condition in case.when {
            for value in interesting(condition.test) {
                for changed in [value, value | 1 << 32, value | 0xffff_ffff << 32] {
                    let mut args = satisfied;
                    if let Some(slot) = args.get_mut(condition.arg) {
                        *slot = changed;
                    }
                    all.insert(args);
                }
            }
        }
    }
    all
}

fn satisfying(case: &Case) -> [u64; 6] {
    let mut args = [0; 6];
    for condition in case.when {
        let value = match condition.test {
            Test::LowIn { values, .. } => values.first().copied().unwrap_or(0).into(),
            Test::HighZero | Test::Null => continue,
        };
        if let Some(slot) = args.get_mut(condition.arg) {
            *slot = value;
        }
    }
    args
}

fn interesting(test: Test) -> Vec<u64> {
    let bits = |mask: u32| (0..32).map(|bit| 1u32 << bit).filter(move |bit| mask & bit != 0);
    let low: Vec<u32> = match test {
        Test::LowIn { mask, values } => {
            let near = values.iter().flat_map(|v| [*v, v.wrapping_add(1), v.wrapping_sub(1)]);
            // A narrow mask is a set of flags: try each. A wide one is a number with flags to ignore: add each.
            if mask.count_ones() <= 16 {
                near.chain(bits(mask)).collect()
            } else {
                near.chain(values.iter().flat_map(|v| bits(!mask).map(move |bit| v | bit)))
                    .collect()
            }
        }
        Test::HighZero | Test::Null => vec![0, 1],
    };
    low.into_iter().map(u64::from).collect()
}
