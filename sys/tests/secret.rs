//! The arena for secrets, as the kernel sees it: what another process, a
//! child, a core file and a small limit get.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Gid, Pid, Uid, getpid, setresgid, setresuid};
use strongroom_sys::process::{self, Forked};
use strongroom_sys::secret::{Arena, Backend, Full};
use strongroom_sys::{Errno, random};

const PAGE: usize = 4096;
const SECRET: &[u8] = b"correct horse battery staple";
const ALL: [Backend; 3] = [Backend::MemfdSecret, Backend::Locked, Backend::Unlocked];

fn main() {
    let tests: &[(&str, fn())] = &[
        ("reads_back_and_is_wiped", reads_back_and_is_wiped),
        ("a_full_arena_is_an_error", a_full_arena_is_an_error),
        ("any_order_of_stores_and_drops_gives_all_room_back", any_order),
        ("truncated_bytes_are_wiped", truncated_bytes_are_wiped),
        ("stored_bytes_keep_the_arena", stored_bytes_keep_the_arena),
        ("nothing_shows_a_secret", nothing_shows_a_secret),
        ("no_core_file_gets_it", no_core_file_gets_it),
        ("a_child_gets_none_of_it", a_child_gets_none_of_it),
        ("a_run_over_the_edge_ends_the_process", edges),
        ("another_process_cannot_read_secret_memory", another_process_cannot_read),
        ("a_tiny_limit_falls_back", a_tiny_limit_falls_back),
        ("random_bytes_differ", random_bytes_differ),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
}

/// All backends this machine has: under a usual limit, all three.
fn arenas(capacity: usize) -> impl Iterator<Item = Arena> {
    ALL.into_iter().map(move |backend| {
        Arena::on(backend, capacity)
            .unwrap_or_else(|e| panic!("{}: {e}; the limit on locked memory?", backend.as_str()))
    })
}

/// Runs `act` in a child and returns how it ended.
fn in_child(act: impl FnOnce() -> i32) -> WaitStatus {
    match process::fork(0).unwrap() {
        Forked::Child => process::exit(act()),
        Forked::Parent { pid, .. } => waitpid(Pid::from_raw(pid), None).unwrap(),
    }
}

fn exited(status: WaitStatus) -> i32 {
    match status {
        WaitStatus::Exited(_, code) => code,
        other => panic!("{other:?}"),
    }
}

fn reads_back_and_is_wiped() {
    for arena in arenas(PAGE) {
        let stored = arena.store(SECRET).unwrap();
        assert_eq!(&*stored, SECRET);
        let copy = stored.copy().unwrap();
        drop(stored);
        assert_eq!(&*copy, SECRET);
        // First fit: the same place again, and `zeroed` itself writes nothing.
        let place = copy.as_ptr();
        drop(copy);
        let again = arena.zeroed(2 * SECRET.len()).unwrap();
        assert!(again.as_ptr() <= place);
        assert!(again.iter().all(|byte| *byte == 0), "{}", arena.backend().as_str());
    }
}

fn a_full_arena_is_an_error() {
    for arena in arenas(PAGE) {
        assert_eq!(arena.zeroed(PAGE + 1).map(drop), Err(Full));
        assert_eq!(arena.zeroed(usize::MAX).map(drop), Err(Full));
        let all = arena.zeroed(PAGE).unwrap();
        assert_eq!(arena.store(b"x").map(drop), Err(Full));
        assert_eq!(arena.store(b"").map(|none| none.len()), Ok(0));
        drop(all);
        arena.zeroed(PAGE).unwrap();
    }
    assert_eq!(Arena::new(0).map(drop), Err(Errno::EINVAL));
    assert_eq!(Arena::new(usize::MAX - PAGE).map(drop), Err(Errno::ENOMEM));
}

/// Thousands of stores and drops in a fixed, disorderly order, checked
/// against what was stored; then all the room is there again in one piece.
fn any_order() {
    let arena = Arena::new(8 * PAGE).unwrap();
    let mut seed = 1_u32;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as usize % below
    };
    let mut kept: Vec<(u8, strongroom_sys::secret::Stored)> = Vec::new();
    let mut refused = 0;
    for round in 0..20_000_u32 {
        let byte = (round % 251) as u8 + 1;
        match arena.store(&vec![byte; next(2000)]) {
            Ok(stored) => kept.push((byte, stored)),
            Err(Full) => refused += 1,
        }
        if kept.len() > 40 || (next(3) == 0 && !kept.is_empty()) {
            let (byte, stored) = kept.swap_remove(next(kept.len()));
            assert!(stored.iter().all(|b| *b == byte));
        }
    }
    assert!(refused > 100, "the arena was never full");
    kept.clear();
    assert!(arena.zeroed(8 * PAGE).unwrap().iter().all(|b| *b == 0));
}

fn truncated_bytes_are_wiped() {
    let arena = Arena::new(PAGE).unwrap();
    let mut stored = arena.store(SECRET).unwrap();
    let rest = stored[8..].as_ptr();
    stored.truncate(8);
    assert_eq!(&*stored, &SECRET[..8]);
    stored.truncate(100);
    assert_eq!(stored.len(), 8);
    // SAFETY: still within what `stored` holds.
    let rest = unsafe { std::slice::from_raw_parts(rest, SECRET.len() - 8) };
    assert!(rest.iter().all(|b| *b == 0));
}

fn stored_bytes_keep_the_arena() {
    let arena = Arena::new(PAGE).unwrap();
    let stored = arena.store(SECRET).unwrap();
    drop(arena);
    assert_eq!(&*stored, SECRET);
}

fn nothing_shows_a_secret() {
    let arena = Arena::new(PAGE).unwrap();
    let shown = format!("{:?} {arena:?}", arena.store(SECRET).unwrap());
    assert!(!shown.contains("horse") && shown.starts_with("secret"), "{shown}");
}

/// The flags of the mapping that holds this address, as smaps has them
/// (proc(5)), and the access of the mappings on either side.
fn mapping(address: usize) -> (Vec<String>, [String; 2]) {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut found = Vec::new();
    let mut current = (0, 0, String::new());
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap();
        if let Some((from, to)) = first.split_once('-') {
            let number = |text| usize::from_str_radix(text, 16).unwrap();
            current = (number(from), number(to), words.next().unwrap().to_owned());
        } else if first == "VmFlags:" {
            found.push((current.clone(), words.map(str::to_owned).collect::<Vec<_>>()));
        }
    }
    let at = found.iter().position(|((from, to, _), _)| (*from..*to).contains(&address)).unwrap();
    let ((from, to, _), flags) = &found[at];
    let ((_, before_end, before), _) = &found[at - 1];
    let ((after_start, _, after), _) = &found[at + 1];
    assert_eq!((before_end, after_start), (from, to), "a gap instead of a guard");
    (flags.clone(), [before.clone(), after.clone()])
}

fn no_core_file_gets_it() {
    for arena in arenas(PAGE) {
        let stored = arena.store(SECRET).unwrap();
        let (flags, guards) = mapping(stored.as_ptr().addr());
        let has = |flag: &str| flags.iter().any(|f| f == flag);
        assert!(has("dd"), "dumped: {flags:?}");
        let (child, locked) = match arena.backend() {
            Backend::MemfdSecret => ("dc", true),
            Backend::Locked => ("wf", true),
            Backend::Unlocked => ("wf", false),
        };
        assert!(has(child), "children get it: {flags:?}");
        assert_eq!(has("lo"), locked, "{flags:?}");
        assert!(guards.iter().all(|access| access.starts_with("---")), "{guards:?}");
    }
}

fn a_child_gets_none_of_it() {
    for arena in arenas(PAGE) {
        let stored = arena.store(SECRET).unwrap();
        let ended = in_child(|| i32::from(!stored.iter().all(|b| *b == 0)));
        if arena.backend() == Backend::MemfdSecret {
            assert!(matches!(ended, WaitStatus::Signaled(_, nix::sys::signal::SIGSEGV, _)));
        } else {
            assert_eq!(exited(ended), 0);
        }
        assert_eq!(&*stored, SECRET);
    }
    let control = SECRET.to_vec();
    assert_eq!(exited(in_child(|| i32::from(control == SECRET))), 1, "children get nothing at all");
}

fn edges() {
    for backend in ALL {
        let ended = in_child(|| {
            let arena = Arena::on(backend, PAGE).unwrap();
            let all = arena.zeroed(PAGE).unwrap();
            // SAFETY: reads a page without access, which is the test.
            i32::from(unsafe { all.as_ptr().add(PAGE).read_volatile() })
        });
        assert!(matches!(ended, WaitStatus::Signaled(..)), "{ended:?}");
        let ended = in_child(|| {
            let arena = Arena::on(backend, PAGE).unwrap();
            let all = arena.zeroed(PAGE).unwrap();
            // SAFETY: as above.
            i32::from(unsafe { all.as_ptr().sub(1).read_volatile() })
        });
        assert!(matches!(ended, WaitStatus::Signaled(..)), "{ended:?}");
    }
}

/// What a process that may trace this one reads at `address`.
fn peek(address: usize) -> [Result<(), Errno>; 2] {
    let parent = getpid();
    let code = exited(in_child(|| {
        let mut bytes = [0; SECRET.len()];
        let remote = RemoteIoVec { base: address, len: bytes.len() };
        let by_call =
            process_vm_readv(parent, &mut [std::io::IoSliceMut::new(&mut bytes)], &[remote]);
        let by_call = by_call.is_ok() && bytes == SECRET;
        let memory = File::open(format!("/proc/{parent}/mem")).unwrap();
        let mut bytes = [0; SECRET.len()];
        let by_file = memory.read_exact_at(&mut bytes, address as u64).is_ok() && bytes == SECRET;
        i32::from(by_call) | i32::from(by_file) << 1
    }));
    [code & 1 != 0, code & 2 != 0].map(|read| if read { Ok(()) } else { Err(Errno::EFAULT) })
}

fn another_process_cannot_read() {
    let control = SECRET.to_vec();
    if peek(control.as_ptr().addr()) != [Ok(()), Ok(())] {
        // The machine forbids a child to trace its parent (Yama): void here.
        assert!(!Uid::effective().is_root(), "root must be able to read another process");
        println!("  SKIPPED: this machine does not let a child read its parent; run as root");
        return;
    }
    let arena = Arena::on(Backend::MemfdSecret, PAGE).unwrap();
    let stored = arena.store(SECRET).unwrap();
    assert_eq!(peek(stored.as_ptr().addr()), [Err(Errno::EFAULT); 2]);
    // Not even by this process itself, past its own page table.
    let memory = File::open("/proc/self/mem").unwrap();
    let mut bytes = [0; SECRET.len()];
    memory.read_exact_at(&mut bytes, stored.as_ptr().addr() as u64).unwrap_err();
    memory.read_exact_at(&mut bytes, control.as_ptr().addr() as u64).unwrap();
}

fn a_tiny_limit_falls_back() {
    let on = |limit: u64, capacity: usize| {
        exited(in_child(|| {
            // Root's CAP_IPC_LOCK knows no limit.
            if Uid::effective().is_root() {
                let nobody = 65534;
                setresgid(Gid::from_raw(nobody), Gid::from_raw(nobody), Gid::from_raw(nobody))
                    .unwrap();
                setresuid(Uid::from_raw(nobody), Uid::from_raw(nobody), Uid::from_raw(nobody))
                    .unwrap();
            }
            setrlimit(Resource::RLIMIT_MEMLOCK, limit, limit).unwrap();
            let arena = Arena::new(capacity).unwrap();
            let stored = arena.store(SECRET).unwrap();
            assert_eq!(&*stored, SECRET);
            ALL.iter().position(|backend| *backend == arena.backend()).unwrap() as i32
        }))
    };
    let (secret, locked, unlocked) = (0, 1, 2);
    assert_eq!(on(1 << 20, 1 << 19), secret);
    // The guards of a secret mapping count too; those of a locked one do not.
    assert_eq!(on(16 * PAGE as u64, 16 * PAGE), locked);
    assert_eq!(on(16 * PAGE as u64, 17 * PAGE), unlocked);
    assert_eq!(on(0, PAGE), unlocked);
}

fn random_bytes_differ() {
    let mut drawn: Vec<[u8; 32]> = vec![[0; 32]; 100];
    drawn.iter_mut().for_each(|bytes| random::fill(bytes).unwrap());
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 100);
    random::fill(&mut []).unwrap();
}
