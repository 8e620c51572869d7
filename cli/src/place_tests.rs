//! The decisions, over made-up facts.
#![allow(clippy::unwrap_used)]

use super::*;

const ROOT: Starter = Starter { ids: Ids { uid: 0, gid: 0 }, switches: true };

fn ids(uid: u32, gid: u32) -> Ids {
    Ids { uid, gid }
}

fn step(path: &str, uid: u32, gid: u32, mode: u32) -> Step {
    Step { path: path.into(), owner: ids(uid, gid), mode }
}

#[test]
fn users() {
    let distinct = |sandbox, adopts| Who { sandbox, broker: BROKER, recorder: RECORDER, adopts };
    let alone = |own| Who { sandbox: own, broker: own, recorder: own, adopts: false };
    let plain = |uid, gid| Starter { ids: ids(uid, gid), switches: false };
    for (starter, owner, want) in [
        (ROOT, ids(0, 0), Ok(distinct(SANDBOX, true))),
        (ROOT, ids(0, 1000), Ok(distinct(SANDBOX, true))),
        (ROOT, ids(1000, 1000), Ok(distinct(ids(1000, 1000), false))),
        (ROOT, ids(1000, 0), Ok(distinct(ids(1000, 1000), false))),
        (ROOT, ids(64101, 64101), Ok(distinct(SANDBOX, false))),
        (ROOT, ids(64102, 1000), Err(Code::WorkspaceUnusable)),
        (ROOT, ids(1000, 64103), Err(Code::WorkspaceUnusable)),
        (ROOT, ids(64103, 0), Err(Code::WorkspaceUnusable)),
        (plain(1000, 1000), ids(0, 0), Ok(alone(ids(1000, 1000)))),
        (plain(1000, 0), ids(1001, 1001), Ok(alone(ids(1000, 0)))),
        (plain(64102, 64102), ids(64102, 64102), Ok(alone(BROKER))),
        (plain(0, 0), ids(1000, 1000), Err(Code::NoTier)),
        (plain(0, 0), ids(0, 0), Err(Code::NoTier)),
    ] {
        let got = who(starter, owner).map_err(|f| f.code);
        assert_eq!(got, want, "{starter:?} {owner:?}");
        if let Ok(who) = got {
            assert_ne!(who.sandbox.uid, 0);
        }
    }
}

#[test]
fn tiers() {
    use Tier::{Container, Full, Rootless};
    let apart = who(ROOT, ids(0, 0)).unwrap();
    let alone = who(Starter { ids: ids(7, 7), switches: false }, ids(7, 7)).unwrap();
    for (offered, forced, who, want) in [
        (Full, None, &apart, Ok(Full)),
        (Full, Some(Full), &apart, Ok(Full)),
        (Full, Some(Container), &apart, Ok(Container)),
        (Full, Some(Rootless), &apart, Err(Code::FloorNotMet)),
        (Container, Some(Full), &apart, Err(Code::FloorNotMet)),
        (Container, Some(Container), &apart, Ok(Container)),
        (Full, Some(Rootless), &alone, Ok(Rootless)),
        (Full, Some(Container), &alone, Err(Code::FloorNotMet)),
        (Rootless, Some(Full), &alone, Err(Code::FloorNotMet)),
        (Rootless, None, &alone, Ok(Rootless)),
    ] {
        let place = (offered, Namespaces::User, ProcView::Own);
        let got = tier(Ok(place), forced, who);
        assert_eq!(got.as_ref().map(|r| r.tier).map_err(|f| f.code), want, "{offered} {forced:?}");
        if let Ok(reached) = got {
            let kept = reached.tier == offered;
            assert_eq!(reached.namespaces == Namespaces::User, kept, "{offered} {forced:?}");
        }
    }
    let none = tier(
        Err(vec![Missing { what: "Landlock".into(), how: "a newer kernel".into() }]),
        None,
        &apart,
    );
    let failure = none.unwrap_err();
    assert_eq!((failure.code, failure.exit()), (Code::NoTier, 78));
    assert_eq!(failure.message, "  missing: Landlock\n    get it: a newer kernel");
}

#[test]
fn floors() {
    let reached =
        |tier| Reached { tier, namespaces: Namespaces::None, proc_view: ProcView::Shared };
    let demand = |tier, landlock_abi| Demand { tier, landlock_abi };
    let missing = [Missing { what: "namespaces".into(), how: "--cap-add SYS_ADMIN".into() }];
    for (tier, abi, demand, met) in [
        (Tier::Container, 7, demand(Tier::Container, 6), true),
        (Tier::Full, 7, demand(Tier::Container, 7), true),
        (Tier::Rootless, 7, demand(Tier::Container, 6), false),
        (Tier::Full, 5, demand(Tier::Rootless, 6), false),
    ] {
        let got = floor(&reached(tier), abi, &demand, &missing);
        assert_eq!(got.is_ok(), met, "{tier} {abi}");
        if let Err(failure) = got {
            assert_eq!((failure.code, failure.exit()), (Code::FloorNotMet, 78));
        }
    }
    let failure = floor(&reached(Tier::Rootless), 7, &demand(Tier::Full, 6), &missing).unwrap_err();
    assert_eq!(
        failure.message,
        "the policy demands tier full, this is tier rootless\n  missing: namespaces\n    get it: --cap-add SYS_ADMIN"
    );
}

#[test]
fn barriers() {
    let me = ids(1000, 1000);
    for (way, want) in [
        (vec![step("/", 0, 0, 0o755), step("/w", 0, 0, 0o755)], None),
        (
            vec![step("/", 0, 0, 0o755), step("/root", 0, 0, 0o700), step("/root/w", 0, 0, 0o755)],
            Some("/root"),
        ),
        (vec![step("/h", 1000, 1000, 0o700)], None),
        (vec![step("/h", 1000, 1000, 0o077)], Some("/h")),
        (vec![step("/h", 0, 1000, 0o710)], None),
        (vec![step("/h", 0, 1000, 0o701)], Some("/h")),
        (vec![step("/h", 0, 0, 0o711)], None),
    ] {
        let got = barrier(&way, me).map(|s| s.path.to_str().unwrap());
        assert_eq!(got, want, "{way:?}");
    }
}

#[test]
fn soft_spots() {
    let me = ids(1000, 1000);
    let root = step("/", 0, 0, 0o755);
    for (way, want) in [
        (vec![root.clone(), step("/s", 0, 0, 0o755)], None),
        (vec![root.clone(), step("/s", 1000, 1000, 0o555)], Some("/s")),
        (vec![root.clone(), step("/tmp", 0, 0, 0o1777), step("/tmp/s", 0, 0, 0o711)], None),
        (vec![root.clone(), step("/tmp", 0, 0, 0o777), step("/tmp/s", 0, 0, 0o711)], Some("/tmp")),
        (
            vec![root.clone(), step("/tmp", 1000, 0, 0o1777), step("/tmp/s", 0, 0, 0o711)],
            Some("/tmp"),
        ),
        (
            vec![root.clone(), step("/tmp", 0, 0, 0o1777), step("/tmp/s", 1000, 0, 0o711)],
            Some("/tmp"),
        ),
        (vec![root.clone(), step("/s", 0, 1000, 0o775), step("/s/x", 0, 0, 0o755)], Some("/s")),
        (vec![root, step("/s", 0, 0, 0o757)], Some("/s")),
    ] {
        let got = soft_spot(&way, me).map(|s| s.path.to_str().unwrap());
        assert_eq!(got, want, "{way:?}");
    }
}

#[test]
fn folders_of_the_system() {
    for path in [
        "/",
        "/tmp",
        "/root",
        "/home",
        "/usr",
        "/var",
        "/etc",
        "/etc/x/y",
        "/usr/lib/x",
        "/proc/1",
        "/dev/shm",
    ] {
        assert!(system_folder(Path::new(path)), "{path}");
    }
    for path in [
        "/workspace",
        "/root/x",
        "/home/me",
        "/usr/src/app",
        "/var/www",
        "/opt/app",
        "/tmp/w",
        "/dev/shm/w",
        "/etcetera",
    ] {
        assert!(!system_folder(Path::new(path)), "{path}");
    }
}
