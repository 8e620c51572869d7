//! Every program equals its list, for every number, architecture and argument that could tell them apart.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod oracle;

use oracle::Oracle;
use strongroom_seccomp::{
    Insn, Net, Unix,
    interp::{self, Data},
    spec::Verdict,
};

const ARCHES: [u32; 3] = [0xc000_003e, 0x4000_0003, 0xc000_00b7];
const NETS: [Net; 3] = [Net::None, Net::Loopback, Net::Open];
const UNIXES: [Unix; 3] = [Unix::All, Unix::Seqpacket, Unix::None];

fn numbers() -> impl Iterator<Item = u32> {
    (0..1024).chain([4095, 0x3fff_ffff, u32::MAX, 0x8000_0000]).chain(0x4000_0000..0x4000_0400)
}

fn sweep(mut check: impl FnMut(u32, u32, &[u64; 6])) {
    let oracle = Oracle::read();
    for nr in numbers() {
        let edges = oracle.edges(nr);
        for arch in ARCHES {
            // A foreign architecture is decided before any argument.
            let take = if arch == ARCHES[0] { edges.len() } else { 4 };
            edges.iter().take(take).for_each(|args| check(arch, nr, args));
        }
    }
}

fn ask(program: &[Insn], arch: u32, nr: u32, args: &[u64; 6]) -> Verdict {
    let data = Data { nr, arch, instruction_pointer: 0x1234_5678_9abc, args: *args };
    interp::verdict(&[program], &data).unwrap()
}

#[test]
fn base_is_standard_widened_by_setup() {
    let oracle = Oracle::read();
    for (net, unix) in NETS.into_iter().flat_map(|n| UNIXES.map(|u| (n, u))) {
        let program = strongroom_seccomp::base(net, unix);
        sweep(|arch, nr, args| {
            let want = oracle.base(net, unix, arch, nr, args);
            assert_eq!(
                ask(program, arch, nr, args),
                want,
                "{net:?} {unix:?} {arch:#x} {nr} {args:x?}"
            );
        });
    }
}

/// Asks a stack in every variant, for every call.
fn every_variant(newest: &[&[Insn]], want: impl Fn(Net, Unix, u32, u32, &[u64; 6]) -> Verdict) {
    for (net, unix) in NETS.into_iter().flat_map(|n| UNIXES.map(|u| (n, u))) {
        let older = [strongroom_seccomp::close(net, unix), strongroom_seccomp::base(net, unix)];
        let stack: Vec<_> = newest.iter().copied().chain(older).collect();
        sweep(|arch, nr, args| {
            let data = Data { nr, arch, instruction_pointer: 0, args: *args };
            assert_eq!(
                interp::verdict(&stack, &data),
                Some(want(net, unix, arch, nr, args)),
                "{net:?} {unix:?} {arch:#x} {nr} {args:x?}"
            );
        });
    }
}

#[test]
fn a_worker_keeps_only_the_calls_of_the_last_step() {
    let oracle = Oracle::read();
    every_variant(&[], |net, unix, arch, nr, args| oracle.worker(net, unix, arch, nr, args));
}

#[test]
fn base_close_and_last_together_are_standard() {
    let oracle = Oracle::read();
    every_variant(&[strongroom_seccomp::last()], |net, unix, arch, nr, args| {
        oracle.list("standard", net, unix, arch, nr, args)
    });
}

#[test]
fn base_close_and_deputy_together_are_standard_and_the_deputy_list() {
    let oracle = Oracle::read();
    let deputy = strongroom_seccomp::deputy();
    every_variant(&[deputy], |net, unix, arch, nr, args| {
        let list = |name| oracle.list(name, net, unix, arch, nr, args);
        list("deputy").strictest(list("standard"))
    });
}

#[test]
fn single_lists() {
    let oracle = Oracle::read();
    let programs = [
        ("never", strongroom_seccomp::never()),
        ("broker", strongroom_seccomp::broker()),
        ("recorder", strongroom_seccomp::recorder()),
    ];
    for (list, program) in programs {
        sweep(|arch, nr, args| {
            let want = oracle.list(list, Net::None, Unix::None, arch, nr, args);
            assert_eq!(ask(program, arch, nr, args), want, "{list} {arch:#x} {nr} {args:x?}");
        });
    }
}

#[test]
fn deputy_holds_last() {
    let oracle = Oracle::read();
    sweep(|arch, nr, args| {
        let want = oracle.deputy(arch, nr, args);
        let said = ask(strongroom_seccomp::deputy(), arch, nr, args);
        assert_eq!(said, want, "{arch:#x} {nr} {args:x?}");
    });
}

/// `last` alone does not look at the architecture, so it is asked only in the native one.
#[test]
fn last_is_its_list() {
    let oracle = Oracle::read();
    sweep(|arch, nr, args| {
        if arch == ARCHES[0] && nr < 0x4000_0000 {
            let want = oracle.list("last", Net::None, Unix::None, arch, nr, args);
            let said = ask(strongroom_seccomp::last(), arch, nr, args);
            assert_eq!(said, want, "{nr} {args:x?}");
        }
    });
}

/// The public view says the same as the files, and every probe is what the programs do.
#[test]
fn spec_and_its_cases_agree() {
    use strongroom_seccomp::spec;
    let oracle = Oracle::read();
    for list in spec::lists().iter().filter(|l| l.name != "setup") {
        sweep(|arch, nr, args| {
            if arch == ARCHES[0] {
                let want = oracle.list(list.name, Net::Open, Unix::Seqpacket, arch, nr, args);
                assert_eq!(
                    list.verdict(Net::Open, Unix::Seqpacket, nr, args),
                    want,
                    "{} {nr} {args:x?}",
                    list.name
                );
            }
        });
    }
    let mut seen = std::collections::BTreeMap::<_, u32>::new();
    for probe in spec::cases() {
        let base = strongroom_seccomp::base(probe.net, probe.unix);
        let stack: &[&[Insn]] = match probe.list {
            "standard" => &[
                strongroom_seccomp::last(),
                strongroom_seccomp::close(probe.net, probe.unix),
                base,
            ],
            "setup" => &[base],
            "last" => &[strongroom_seccomp::last()],
            "deputy" => &[strongroom_seccomp::deputy()],
            "never" => &[strongroom_seccomp::never()],
            "broker" => &[strongroom_seccomp::broker()],
            _ => &[strongroom_seccomp::recorder()],
        };
        let said = interp::verdict(stack, &Data::native(probe.number, probe.args));
        assert_eq!(said, Some(probe.expect), "{probe:?}");
        *seen.entry((probe.list, probe.name)).or_default() += 1;
    }
    for list in oracle::LISTS {
        let entries = &spec::list(list).unwrap().entries;
        assert!(
            entries.iter().flat_map(|e| e.names).all(|n| seen.contains_key(&(list, *n))),
            "{list}"
        );
    }
    println!("{} probes of {} entries", seen.values().sum::<u32>(), seen.len());
}
