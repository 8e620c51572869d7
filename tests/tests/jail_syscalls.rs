//! The system-call filter, executed for real in the jail and compared with
//! the lists it is made from, and with what must hold whatever the lists say
//! (attacks.md 2.3).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use nix::errno::Errno;
use strongroom_seccomp::spec::{self, Verdict};
use strongroom_seccomp::{Net, Unix};
use strongroom_tests::{Place, Session, places};

type Call = (u32, [u64; 6]);

/// Sockets that the built-in worker profile gets here.
fn unix(place: Place) -> Unix {
    if place.private() { Unix::All } else { Unix::None }
}

/// What all filters on a command say together.
fn expected(place: Place, (number, args): Call) -> Verdict {
    let mut lists = vec!["never", "standard", "last"];
    if !place.private() {
        lists.push("deputy");
    }
    // The newest first: of two errnos its own wins.
    lists.reverse();
    let said = lists
        .into_iter()
        .map(|name| spec::list(name).unwrap().verdict(Net::None, unix(place), number, &args));
    said.reduce(Verdict::strictest).unwrap()
}

/// Makes the calls in the jail, each in a process of its own.
fn made(session: &Session, calls: &[Call]) -> Vec<i64> {
    let helper = session.hostile("calls");
    let mut input = String::new();
    for (number, args) in calls {
        write!(input, "{number:x}").unwrap();
        args.iter().for_each(|a| write!(input, " {a:x}").unwrap());
        input.push('\n');
    }
    let ran = session.wait(&session.spawn(&[], &[helper], input.as_bytes()));
    let results: Vec<i64> =
        ran.ok().text().lines().map(|l| l.split_once(' ').unwrap().1.parse().unwrap()).collect();
    assert_eq!(results.len(), calls.len());
    results
}

/// Compares every call with its verdict. An allowed call may fail by itself,
/// but not with the errno that its list refuses with; calls of which that
/// cannot be told are counted by the caller.
fn compare(place: Place, calls: &[Call]) -> usize {
    let session = Session::new(place);
    let mut wrong = String::new();
    let mut told = 0;
    for (call, result) in calls.iter().zip(made(&session, calls)) {
        let verdict = expected(place, *call);
        let right = match verdict {
            Verdict::Errno(errno) => result == -i64::from(errno),
            Verdict::Kill => result == -1031,
            Verdict::Allow | Verdict::Notify => {
                ![Errno::ENOSYS as i64, Errno::EAFNOSUPPORT as i64, 1031].contains(&-result)
            }
        };
        told += usize::from(right);
        if !right {
            let name = spec::name(call.0).unwrap_or("?");
            writeln!(wrong, "{name} {:x?}: {result}, wanted {verdict}", call.1).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    told
}

/// Calls that end, stop or fork whoever makes them, or wait for ever. They
/// are made when they are refused, and not when they are allowed.
fn awkward(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "exit",
        "exit_group",
        "pause",
        "fork",
        "vfork",
        "clone",
        "rt_sigreturn",
        "rt_sigsuspend",
        "restart_syscall",
        "kill",
        "tkill",
        "tgkill",
        "alarm",
        "vhangup",
        "execve",
        "execveat",
        "wait4",
        "waitid",
        "rt_sigtimedwait",
        "select",
        "pselect6",
        "poll",
        "ppoll",
        "munmap",
        "brk",
        "mprotect",
        "seccomp",
        "landlock_restrict_self",
        "setitimer",
        "read",
        "recvfrom",
        "arch_prctl",
        "set_tid_address",
        "close_range",
        "close",
        "dup2",
        "dup3",
        "mremap",
        "madvise",
        "mseal",
        "map_shadow_stack",
        "setrlimit",
        "mlockall",
        "sync",
        "rt_sigaction",
    ];
    NAMES.contains(&name)
}

places! {
    /// Every rule of the lists, on both sides of every condition.
    all within 60 fn every_rule(place) {
        let mut calls = BTreeSet::new();
        for probe in spec::cases() {
            let here =
                (probe.net, probe.unix) == (Net::None, unix(place)) || !matches!(probe.list, "standard" | "setup");
            if !here || matches!(probe.list, "broker" | "recorder") {
                continue;
            }
            let call = (probe.number, probe.args);
            let refused = matches!(expected(place, call), Verdict::Errno(_) | Verdict::Kill);
            if refused || !awkward(probe.name) {
                calls.insert(call);
            }
        }
        let calls: Vec<Call> = calls.into_iter().collect();
        assert!(calls.len() > 1000, "{}", calls.len());
        compare(place, &calls);
    }

    /// Every number there is, and some there are not; foreign conventions.
    all within 30 fn every_number(place) {
        // The kernel lets these two past every filter, because it puts them
        // into programs itself; made by anybody else they do nothing.
        let probes = ["uretprobe", "uprobe"].map(|name| spec::number(name).unwrap());
        let refused =
            |number: &u32| !probes.contains(number) && matches!(expected(place, (*number, [0; 6])), Verdict::Errno(_));
        let mut numbers: Vec<u32> = (0..700).filter(refused).collect();
        numbers.extend([1000, 4095, 65_536, 0x3fff_ffff]);
        assert!(numbers.len() > 350, "{}", numbers.len());
        let calls: Vec<Call> = numbers.into_iter().map(|n| (n, [0; 6])).collect();
        compare(place, &calls);
    }

    /// Y18: every prctl option, with and without garbage above bit 31.
    all fn every_prctl(place) {
        let harmless = |option: &u64| ![22, 1, 31, 38].contains(option);
        let options = (0..90).chain([0x5356_4d41, 0x59616d61, 0x1000]).filter(harmless);
        let calls: Vec<Call> =
            options.flat_map(|o| [o, o | 0xdead_beef_0000_0000]).map(|o| (157, [o, 0, 0, 0, 0, 0])).collect();
        compare(place, &calls);
    }

    /// Y19: requests of ioctl that were ever abused, on standard input.
    all fn dangerous_ioctls(place) {
        let requests: [u64; 24] = [
            0x5412,
            0x541c,
            0x540e,
            0x541d,
            0x5423,
            0x4b3a,
            0x4b45,
            0x5601,
            0x5606,
            0x4c00,
            0x4c01,
            0x4c82,
            0x4020_6602,
            0x4008_6602,
            0x4020_5820,
            0x401c_5820,
            0xc004_5877,
            0xc004_5878,
            0x4008_7602,
            0x4004_54ca,
            0x8914,
            0x8916,
            0xc018_aa3f,
            0x125d,
        ];
        let calls: Vec<Call> =
            requests.iter().flat_map(|r| [*r, r | 0xffff_ffff_0000_0000]).map(|r| (16, [0, r, 0, 0, 0, 0])).collect();
        for call in &calls {
            assert_eq!(expected(place, *call), Verdict::Errno(1), "{:x}", call.1[1]);
        }
        compare(place, &calls);
    }

    /// Y03, Y06, Y07, Y08, Y10: refused whatever the lists say.
    all fn never(place) {
        let names = [
            "io_uring_setup",
            "io_uring_enter",
            "io_uring_register",
            "bpf",
            "perf_event_open",
            "userfaultfd",
            "modify_ldt",
            "iopl",
            "ioperm",
            "kexec_load",
            "kexec_file_load",
            "init_module",
            "finit_module",
            "delete_module",
            "swapon",
            "swapoff",
            "acct",
            "quotactl",
            "syslog",
            "reboot",
            "settimeofday",
            "clock_settime",
            "clock_adjtime",
            "adjtimex",
            "vhangup",
            "add_key",
            "request_key",
            "keyctl",
            "ptrace",
            "process_vm_readv",
            "process_vm_writev",
            "pidfd_getfd",
            "kcmp",
            "mount",
            "umount2",
            "pivot_root",
            "chroot",
            "open_tree",
            "move_mount",
            "fsopen",
            "fsconfig",
            "fsmount",
            "fspick",
            "mount_setattr",
            "unshare",
            "setns",
            "open_by_handle_at",
            "name_to_handle_at",
            "fanotify_init",
            "sethostname",
            "setdomainname",
            "capset",
            "mbind",
            "set_mempolicy",
            "sched_setscheduler",
            "shmget",
            "semget",
            "msgget",
            "mq_open",
            "memfd_secret",
            "openat2",
            "setxattrat",
            "file_setattr",
            "clone3",
            "lsm_set_self_attr",
        ];
        let session = Session::new(place);
        let calls: Vec<Call> =
            names.iter().map(|n| (spec::number(n).unwrap_or_else(|| panic!("{n}")), [0; 6])).collect();
        let results = made(&session, &calls);
        let open: Vec<_> = names.iter().zip(&results).filter(|(_, r)| ![-1, -38].contains(*r)).collect();
        assert!(open.is_empty(), "{open:?}");
        // The control: without a jail the same calls get further.
        let free = session.unjailed("mounts", &[]);
        assert_eq!(free.of("listmount"), -i64::from(Errno::EFAULT as i32));
    }

    /// Y10: no disguise; asking is allowed.
    all fn personality(place) {
        let session = Session::new(place);
        let calls: Vec<Call> = [0xffff_ffff, 0, 0x0040_0000, 0x0004_0000, 8, 0x0800_0000]
            .iter()
            .map(|p| (135, [*p, 0, 0, 0, 0, 0]))
            .collect();
        assert_eq!(made(&session, &calls), [0, 0, -1, -1, -1, -1]);
    }

    /// Y01, Y02: foreign calling conventions end the process.
    all fn foreign_conventions(place) {
        let session = Session::new(place);
        for helper in ["int80", "x32"] {
            let ran = session.attack(helper, &[]);
            ran.exits(128 + 31);
            assert_eq!(ran.text(), "", "{helper}");
        }
        // The control: there is something to refuse.
        assert!(session.unjailed("int80", &[]).of("survived") > 0);
    }

    /// Y11, Y15: every socket triple. Exactly the listed ones.
    all within 20 fn socket_triples(place) {
        let session = Session::new(place);
        for (number, flag) in [(41, None), (53, Some("pair"))] {
            let ran = session.attack("families", flag.as_slice());
            let mut open = BTreeSet::new();
            for line in ran.ok().text().lines() {
                let words: Vec<i64> = line.split(' ').map(|w| w.parse().unwrap()).collect();
                let args = [words[0] as u64, words[1] as u64, words[2] as u64, 0, 0, 0];
                assert_eq!(expected(place, (number, args)), Verdict::Allow, "{line}");
                open.insert((words[0], words[1], words[2], words[3]));
            }
            // What the list allows and the kernel has, works.
            let works = |family, kind, protocol| open.contains(&(family, kind, protocol, 0));
            if number == 53 {
                assert!(works(1, 1, 0) && works(1, 5, 0) && !works(1, 2, 0));
            } else {
                assert!(works(16, 3, 0), "netlink route");
                assert_eq!(works(1, 1, 0), place.private(), "unix stream");
                assert!(!works(2, 1, 0), "a tcp socket without a network");
            }
        }
    }

    /// Y14: netlink is ROUTE, to be read.
    all fn netlink(place) {
        let session = Session::new(place);
        let steps = session.attack("netlink", &[]).ok().steps();
        steps.works("protocol-0");
        steps.works("dump-asked");
        steps.works("dump");
        assert!(steps.of("change") < 0);
        for protocol in 1..32 {
            steps.fails(&format!("protocol-{protocol}"), &[Errno::EAFNOSUPPORT as i32]);
        }
    }

    /// Y17: a program may narrow itself; it may not listen, nor widen.
    all fn own_filters(place) {
        let session = Session::new(place);
        let steps = session.attack("filter", &[]).ok().steps();
        steps.works("narrow");
        steps.works("narrow-prctl");
        steps.fails("listen", &[Errno::EPERM as i32]);
        steps.fails("keyctl", &[Errno::EPERM as i32]);
    }

    /// Y09: a program run from memory, or by the loader, is in the same jail.
    all fn fileless(place) {
        let session = Session::new(place);
        let canary = session.canary();
        let helper = session.hostile("memfd_exec");
        let run = |file: &str| session.exec(&[&helper, "/usr/bin/cat", file]);
        assert!(!run(canary.path()).everything().contains(&canary.secret));
        session.put("own", "inside");
        assert_eq!(run("own").ok().text(), "inside");
        session.exec(&[helper.as_str(), &session.hostile("int80")]).exits(159);
        let loaded = session.sh(&format!(
            "$(ls /lib64/ld-linux-x86-64.so.2 /lib/ld-musl* 2>/dev/null | head -1) /usr/bin/cat {}",
            canary.path()
        ));
        assert!(!loaded.everything().contains(&canary.secret));
    }
}
