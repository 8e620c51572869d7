//! Size, depth, and the properties that a reviewer would otherwise have to believe.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use strongroom_seccomp::{
    Insn, Net, Unix,
    interp::{self, Data},
    spec::{self, Body, Verdict},
};

fn programs() -> Vec<(String, &'static [Insn])> {
    let mut all = Vec::new();
    for net in [Net::None, Net::Loopback, Net::Open] {
        for unix in [Unix::All, Unix::Seqpacket, Unix::None] {
            all.push((format!("base {net:?} {unix:?}"), strongroom_seccomp::base(net, unix)));
        }
    }
    all.push(("close".into(), strongroom_seccomp::close(Net::None, Unix::None)));
    all.push(("deputy".into(), strongroom_seccomp::deputy()));
    all.push(("last".into(), strongroom_seccomp::last()));
    all.push(("never".into(), strongroom_seccomp::never()));
    all.push(("broker".into(), strongroom_seccomp::broker()));
    all.push(("recorder".into(), strongroom_seccomp::recorder()));
    all
}

/// Verdict and steps of a call, if no argument is looked at on the way.
fn plain(program: &[Insn], nr: u32) -> Option<(Verdict, usize)> {
    let ask = |args| interp::run(program, &Data::native(nr, args)).unwrap();
    let mut at = 0;
    // Follow the path by hand: an argument load means that the verdict is not plain.
    loop {
        let insn = program[at];
        match insn.code {
            0x20 if insn.k >= 16 => return None,
            0x06 => break,
            0x05 => at += insn.k as usize,
            0x15 => at += usize::from(if insn.k == spec::audit_arch() { insn.jt } else { insn.jf }),
            0x35 => at += usize::from(if nr >= insn.k { insn.jt } else { insn.jf }),
            _ => {}
        }
        at += 1;
    }
    let outcome = ask([0; 6]);
    Some((Verdict::from_ret(outcome.ret).unwrap(), outcome.steps))
}

#[test]
fn sizes_and_depths() {
    for (name, program) in programs() {
        let plain: Vec<_> = (0..512).filter_map(|nr| plain(program, nr)).collect();
        let deepest = plain.iter().map(|(_, steps)| *steps).max().unwrap();
        let allowed = plain.iter().filter(|(v, _)| *v == Verdict::Allow).count();
        println!(
            "{name:22} {:4} instructions, {allowed:3} of 512 numbers plainly allowed, deepest {deepest}",
            program.len()
        );
        assert!(program.len() <= 4096, "{name}: the kernel's limit");
        assert!(deepest <= 20, "{name}: {deepest} instructions to a plain verdict");
    }
}

/// What the kernel's checker demands: known operations, jumps inside, no way to run off the end.
#[test]
fn programs_are_valid() {
    for (name, program) in programs() {
        for (at, insn) in program.iter().enumerate() {
            let targets = match insn.code {
                0x06 => vec![],
                0x05 => vec![at + 1 + insn.k as usize],
                0x15 | 0x35 | 0x45 => {
                    vec![at + 1 + usize::from(insn.jt), at + 1 + usize::from(insn.jf)]
                }
                0x20 if insn.k % 4 == 0 && insn.k < 64 => vec![at + 1],
                0x54 => vec![at + 1],
                _ => panic!("{name}: {insn:?} at {at}"),
            };
            assert!(targets.iter().all(|t| *t < program.len()), "{name}: {insn:?} at {at}");
        }
    }
}

/// The kernel knows a call as allowed without running the filter only if the way there reads no argument.
/// These are the calls whose speed is felt.
#[test]
fn hot_calls_are_plain_everywhere() {
    let names = [
        "read",
        "write",
        "close",
        "fstat",
        "newfstatat",
        "futex",
        "mmap",
        "clock_gettime",
        "epoll_wait",
    ];
    for net in [Net::None, Net::Loopback, Net::Open] {
        for program in [
            strongroom_seccomp::base(net, Unix::All),
            strongroom_seccomp::close(net, Unix::All),
            strongroom_seccomp::last(),
            strongroom_seccomp::deputy(),
        ] {
            for name in names {
                let (verdict, _) = plain(program, spec::number(name).unwrap()).expect(name);
                assert_eq!(verdict, Verdict::Allow, "{name}");
            }
        }
    }
}

/// What attacks.md and the design name one by one; the lists may be edited, these may not change by accident.
#[test]
fn pinned_verdicts() {
    let eperm = Verdict::Errno(1);
    let enosys = Verdict::Errno(38);
    let no_family = Verdict::Errno(97);
    let high = 1u64 << 32;
    let cases: &[(&str, [u64; 6], Verdict)] = &[
        ("clone", [0x11, 0, 0, 0, 0, 0], Verdict::Allow),
        ("clone", [0x0100_4111, 0, 0, 0, 0, 0], Verdict::Allow),
        ("clone", [0x1000_0011, 0, 0, 0, 0, 0], eperm),
        ("clone", [0x8011, 0, 0, 0, 0, 0], eperm),
        ("clone", [0x2011, 0, 0, 0, 0, 0], eperm),
        ("clone", [high | 0x11, 0, 0, 0, 0, 0], eperm),
        ("clone3", [0; 6], enosys),
        ("openat2", [0; 6], enosys),
        ("unshare", [0; 6], eperm),
        ("mount", [0; 6], eperm),
        ("setns", [0; 6], eperm),
        ("ptrace", [0; 6], eperm),
        ("io_uring_setup", [0; 6], eperm),
        ("keyctl", [0; 6], eperm),
        ("file_setattr", [0; 6], enosys),
        ("shmget", [0; 6], eperm),
        ("ioctl", [0, 0x5412, 0, 0, 0, 0], eperm),
        ("ioctl", [0, high | 0x5412, 0, 0, 0, 0], eperm),
        ("ioctl", [0, 0x4008_6602, 0, 0, 0, 0], eperm),
        ("ioctl", [0, 0x4004_6602, 0, 0, 0, 0], eperm),
        ("ioctl", [0, 0x401c_5820, 0, 0, 0, 0], eperm),
        ("ioctl", [0, 0x8914, 0, 0, 0, 0], eperm),
        ("ioctl", [0, 0x5401, 0, 0, 0, 0], Verdict::Allow),
        ("ioctl", [0, 0x4004_9409, 0, 0, 0, 0], Verdict::Allow),
        ("fcntl", [0, 1024, 1, 0, 0, 0], eperm),
        ("fcntl", [0, 1030, 0, 0, 0, 0], Verdict::Allow),
        ("setsockopt", [0, 6, 31, 0, 0, 0], eperm),
        ("chmod", [0, 0o4755, 0, 0, 0, 0], eperm),
        ("fchmodat2", [0, 0, 0o2755, 0, 0, 0], eperm),
        ("openat", [0, 0, 0o100, 0o4644, 0, 0], eperm),
        ("openat", [0, 0, 0o20200000, 0o4644, 0, 0], eperm),
        ("openat", [0, 0, 0, u64::MAX, 0, 0], Verdict::Allow),
        ("mknod", [0, 0o020644, 0, 0, 0, 0], eperm),
        ("mknod", [0, 0o010644, 0, 0, 0, 0], Verdict::Allow),
        ("prlimit64", [0; 6], Verdict::Allow),
        ("prlimit64", [1, 0, 0, 0, 0, 0], eperm),
        ("prctl", [4, 0, 0, 0, 0, 0], eperm),
        ("prctl", [36, 1, 0, 0, 0, 0], eperm),
        ("prctl", [59, 0, 0, 0, 0, 0], eperm),
        ("prctl", [high | 36, 1, 0, 0, 0, 0], eperm),
        ("personality", [0x0004_0000, 0, 0, 0, 0, 0], eperm),
        ("personality", [8, 0, 0, 0, 0, 0], eperm),
        ("personality", [0xffff_ffff, 0, 0, 0, 0, 0], Verdict::Allow),
        ("seccomp", [1, 8, 0, 0, 0, 0], eperm),
        ("seccomp", [1, 1, 0, 0, 0, 0], Verdict::Allow),
        ("sendto", [0, 0, 0, 0x2000_0000, 0, 0], eperm),
        ("sendmsg", [0, 0, 0x2000_0000, 0, 0, 0], eperm),
        ("sendmmsg", [0, 0, 0, 0x2000_0000, 0, 0], eperm),
        ("setsockopt", [0, 6, 30, 0, 0, 0], eperm),
        ("setsockopt", [0, 1, 30, 0, 0, 0], Verdict::Allow),
        ("socket", [2, 1, 0, 0, 0, 0], Verdict::Allow),
        ("socket", [2, 0x8_0801, 6, 0, 0, 0], Verdict::Allow),
        ("socket", [high | 2, high | 1, high, 0, 0, 0], Verdict::Allow),
        ("socket", [2, 1, 262, 0, 0, 0], no_family),
        ("socket", [2, 2, 0, 0, 0, 0], Verdict::Allow),
        ("socket", [10, 2, 17, 0, 0, 0], Verdict::Allow),
        ("socket", [2, 2, 136, 0, 0, 0], no_family),
        ("socket", [2, 3, 1, 0, 0, 0], no_family),
        ("socket", [16, 3, 0, 0, 0, 0], Verdict::Allow),
        ("socket", [16, 3, 4, 0, 0, 0], no_family),
        ("socket", [38, 5, 0, 0, 0, 0], no_family),
        ("socket", [40, 1, 0, 0, 0, 0], no_family),
        ("socket", [1, 5, 0, 0, 0, 0], Verdict::Allow),
        ("socket", [1, 1, 0, 0, 0, 0], no_family),
        ("socketpair", [1, 2, 0, 0, 0, 0], no_family),
        ("socketpair", [1, 3, 0, 0, 0, 0], no_family),
        ("socketpair", [1, 0x8_0001, 0, 0, 0, 0], Verdict::Allow),
    ];
    let (net, unix) = (Net::Loopback, Unix::Seqpacket);
    let stack = [
        strongroom_seccomp::last(),
        strongroom_seccomp::close(net, unix),
        strongroom_seccomp::base(net, unix),
    ];
    for (name, args, want) in cases {
        let data = Data::native(spec::number(name).unwrap(), *args);
        assert_eq!(interp::verdict(&stack, &data), Some(*want), "{name} {args:x?}");
    }
}

/// `last` is on the way of every command: a handful of instructions, four of them for any other call.
#[test]
fn last_is_tiny() {
    let last = strongroom_seccomp::last();
    assert!(last.len() <= 10, "{}", last.len());
    let (verdict, steps) = plain(last, spec::number("execve").unwrap()).unwrap();
    assert_eq!((verdict, steps), (Verdict::Allow, 4));
}

/// Under a jailed command's filters nothing kills but a foreign architecture: probing libraries must survive.
#[test]
fn standard_never_kills_a_native_call() {
    let kills = |body: &Body| match body {
        Body::Plain(verdict) => *verdict == Verdict::Kill,
        Body::Rule { cases, otherwise } => {
            *otherwise == Verdict::Kill || cases.iter().any(|c| c.then == Verdict::Kill)
        }
    };
    for name in ["standard", "last", "deputy", "never"] {
        let list = spec::list(name).unwrap();
        assert!(list.entries.iter().all(|e| !kills(&e.body)), "{name}");
        assert!(list.unlisted != Verdict::Kill && list.unknown != Verdict::Kill, "{name}");
    }
}

#[test]
fn markdown_names_every_entry() {
    let text = spec::markdown();
    for list in spec::lists() {
        assert!(text.contains(&format!("\n## {}\n", list.name)));
        for entry in list.entries {
            assert!(!entry.why.is_empty());
            assert!(
                entry.names.iter().all(|n| text.contains(&format!("`{n}`"))),
                "{:?}",
                entry.names
            );
        }
    }
}

#[test]
fn names_and_numbers_invert() {
    for (name, number) in spec::numbers() {
        assert_eq!(spec::number(name), Some(*number));
        assert_eq!(spec::name(*number), Some(*name));
    }
    assert_eq!(spec::number("no_such_call"), None);
    assert_eq!(spec::name(400), None);
}
