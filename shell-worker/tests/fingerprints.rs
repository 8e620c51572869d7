//! The digest of a program that was launched, in real jails, of every kind
//! that this machine can make.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

// Shared with other tests, which use more of it.
#[allow(dead_code)]
mod driver;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use driver::{PLAIN, Place, Session, Zygote, give, launch};
use sha2::{Digest as _, Sha256};
use strongroom_protocol::channel::a::Outcome;
use strongroom_protocol::channel::w::{Down, Known, Launch, Stamp, Up};

type Test = (&'static str, fn(Place));

fn main() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can make jails of every kind");
        return;
    }
    let tests: &[Test] = &[
        ("it_is_that_of_the_file", it_is_that_of_the_file),
        ("what_is_known_is_not_read_again", what_is_known_is_not_read_again),
        ("what_cannot_be_read_runs_all_the_same", what_cannot_be_read),
        ("what_was_just_changed_is_not_kept", what_was_just_changed),
        ("what_a_human_saw_counts", what_a_human_saw_counts),
    ];
    for place in Place::ALL {
        for (name, test) in tests {
            test(place);
            println!("test {name}, {place:?} ... ok");
        }
    }
}

type Print = (Option<[u8; 32]>, Option<Stamp>);

impl Session {
    fn program(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path("ws").join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        give(&path);
    }

    fn print(&mut self, zygote: &mut Zygote, launch: &Launch) -> Print {
        let (report, text, worker) = self.worker(zygote).launch(launch).report();
        let Some(Up::Exited { outcome, program, stamp, .. }) = report else {
            panic!("{report:?}: {text}")
        };
        assert_eq!((outcome, worker.end()), (Outcome::Exited(0), 0), "{text}");
        (program, stamp)
    }
}

fn sha(path: impl AsRef<Path>) -> Option<[u8; 32]> {
    Some(Sha256::digest(fs::read(path).unwrap()).into())
}

fn stamp(path: &Path) -> Stamp {
    let file = fs::metadata(path).unwrap();
    Stamp {
        dev: file.dev(),
        ino: file.ino(),
        size: file.size(),
        mtime_ns: file.mtime() * 1_000_000_000 + file.mtime_nsec(),
        ctime_ns: file.ctime() * 1_000_000_000 + file.ctime_nsec(),
    }
}

fn it_is_that_of_the_file(place: Place) {
    let mut session = Session::new(place);
    let mut zygote = session.zygote(PLAIN);
    session.program("script", "#!/bin/sh\nexit 0\n");
    session.program("other", "#!/bin/sh\nexit  0\n");
    symlink("script", session.path("ws/link")).unwrap();
    for (program, file) in [
        ("true", Path::new("/usr/bin/true")),
        ("/bin/true", Path::new("/usr/bin/true")),
        ("./script", &session.path("ws/script")),
        ("./other", &session.path("ws/other")),
        ("./link", &session.path("ws/script")),
    ] {
        let (digest, _) = session.print(&mut zygote, &launch(&[program]));
        assert_eq!(digest, sha(file), "{program}");
    }
    let firm = Launch { firm: true, ..launch(&["true"]) };
    assert_eq!(session.print(&mut zygote, &firm).0, sha("/usr/bin/true"));
    // It has ended long before all of it is read.
    session.program("large", [b"#!/bin/sh\nexit 0\n".as_slice(), &[b'#'; 8 << 20]].concat());
    let (digest, _) = session.print(&mut zygote, &launch(&["./large"]));
    assert_eq!(digest, sha(session.path("ws/large")));
}

/// Shown by a digest that is a lie.
fn what_is_known_is_not_read_again(place: Place) {
    let mut session = Session::new(place);
    let mut zygote = session.zygote(PLAIN);
    let (digest, seen) = session.print(&mut zygote, &launch(&["true"]));
    let seen = seen.unwrap();
    assert_eq!(seen, stamp(Path::new("/usr/bin/true")));
    let with =
        |stamp| Launch { known: Some(Known { stamp, digest: [7; 32] }), ..launch(&["true"]) };
    assert_eq!(session.print(&mut zygote, &with(seen)), (Some([7; 32]), Some(seen)));
    for other in [
        Stamp { dev: seen.dev + 1, ..seen },
        Stamp { ino: seen.ino + 1, ..seen },
        Stamp { size: seen.size + 1, ..seen },
        Stamp { mtime_ns: seen.mtime_ns + 1, ..seen },
        Stamp { ctime_ns: seen.ctime_ns + 1, ..seen },
    ] {
        assert_eq!(session.print(&mut zygote, &with(other)), (digest, Some(seen)));
    }
}

fn what_cannot_be_read(place: Place) {
    let mut session = Session::new(place);
    let mut zygote = session.zygote(PLAIN);
    let path = session.path("ws").join("secretive");
    fs::copy("/usr/bin/true", &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o711)).unwrap();
    assert_eq!(session.print(&mut zygote, &launch(&["./secretive"])), (None, None));
    session.program("huge", "#!/bin/sh\nexit 0\n");
    let huge = fs::OpenOptions::new().write(true).open(session.path("ws/huge")).unwrap();
    huge.set_len((256 << 20) + 1).unwrap();
    drop(huge);
    assert_eq!(session.print(&mut zygote, &launch(&["./huge"])), (None, None));
}

fn what_was_just_changed(place: Place) {
    let mut session = Session::new(place);
    let mut zygote = session.zygote(PLAIN);
    session.program("script", "#!/bin/sh\nexit 0\n");
    let path = session.path("ws/script");
    let (digest, seen) = session.print(&mut zygote, &launch(&["./script"]));
    assert_eq!((digest, seen), (sha(&path), None));
    std::thread::sleep(Duration::from_millis(2100));
    let (digest, seen) = session.print(&mut zygote, &launch(&["./script"]));
    assert_eq!((digest, seen), (sha(&path), Some(stamp(&path))));
    // While it runs: what was read is neither the one nor the other.
    session.program("self", "#!/bin/sh\necho >>self\n");
    assert_eq!(session.print(&mut zygote, &launch(&["./self"])).1, None);
}

/// Its digest is that of the copy that runs, whatever is known of the file.
fn what_a_human_saw_counts(place: Place) {
    let mut session = Session::new(place);
    let mut zygote = session.zygote(PLAIN);
    session.program("script", "#!/bin/sh\nexit 0\n");
    let path = session.path("ws/script");
    let seen = sha(&path);
    let mut worker = session.worker(&mut zygote);
    let order = launch(&["./script"]);
    worker.say(&Down::Examine { launch: Box::new(order.clone()) }, &[]);
    assert!(matches!(worker.hear(), Some(Up::Examined { .. })));
    session.program("script", "#!/bin/sh\nexit 1\n");
    let known = Some(Known { stamp: stamp(&path), digest: [7; 32] });
    let (report, text, worker) = worker.launch(&Launch { known, ..order }).report();
    let Some(Up::Exited { outcome, program, stamp, .. }) = report else {
        panic!("{report:?}: {text}")
    };
    assert_eq!((outcome, program, stamp), (Outcome::Exited(0), seen, None));
    assert_eq!(worker.end(), 0);
}
