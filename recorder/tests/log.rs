//! The log: its chain, its lines, what a crash leaves, what it refuses.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use common::place::*;
use common::*;
use strongroom_protocol::channel::a::{Outcome, Usage, Values};
use strongroom_protocol::channel::r::{Account, Ack, Digests, Input, Record, WriteRecord};
use strongroom_protocol::codes::Code;
use strongroom_protocol::receipt::{
    KillAll, LimitsBy, MetadataBy, ProcView, ProtectBy, Receipt, Tier, ns,
};
use strongroom_protocol::stage::{Stage, StageError};
use strongroom_protocol::types::*;
use strongroom_recorder::End;
use strongroom_recorder::disk::Unusable;
use strongroom_recorder::record::{Event, Writer};
use strongroom_sys::packet;

#[test]
fn two_writers_one_chain() {
    let place = Place::new();
    let writers = place.start();
    send(&writers.supervisor, &began());
    kept(&writers.supervisor, 1);
    for req in 1..=100 {
        send(&writers.broker, &intent(req, &[b"ls", b"-l"]));
        send(&writers.supervisor, &Account::Spawned { req: ReqId(req), slot: req, pid: 7 });
        send(&writers.broker, &outcome(req));
        send(&writers.supervisor, &Account::Exited { req: ReqId(req), status: -9 });
        kept(&writers.broker, 2 * req);
        kept(&writers.supervisor, 1 + 2 * req);
    }
    assert_eq!(writers.close(), End::Closed);

    let lines = recorded(&place.file());
    assert_eq!(lines.len(), 401);
    assert_eq!(lines[0]["session"], "ab".repeat(16));
    assert_eq!(fs::metadata(place.file()).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn lines_have_these_fields_in_this_order() {
    let place = Place::new();
    let writers = place.start();
    let mut full = action(&[b"ls", b"a\xffb\n"]);
    full.argc = 70;
    full.argv_digest = Some([0x11; 32]);
    full.cwd = Some(PathBytes::new("sub/dir").unwrap());
    full.credentials = List::new(vec![CredentialName::new("TOKEN").unwrap()]).unwrap();
    full.reason = Some(Reason::new("because \u{202e}").unwrap());
    let failed = StageError { stage: Stage::Landlock, errno: 95 };
    let protected = List::new(vec![PathBytes::new(".git/hooks/x").unwrap()]).unwrap();
    for record in [
        Record::Intent { req: ReqId(1), action: full },
        Record::Denied { code: Code::NoRule, action: action(&[b"x"]) },
        Record::Outcome {
            req: ReqId(1),
            outcome: Outcome::Ended(Code::JailFailed),
            usage: Usage { wall_us: 1, user_us: 2, system_us: 3, max_rss_kib: 4 },
            output: [5, 6],
            output_cut: true,
            protected,
            failed: Some(failed),
            masked: 2,
            digests: Some(Box::new(Digests {
                argv: [0x31; 32],
                program: Some([0x32; 32]),
                stdin: Some(Input { bytes: 8, digest: [0x33; 32] }),
                output: Some([[0x34; 32], [0x35; 32]]),
                receipt: Some([0x36; 32]),
            })),
        },
        Record::Violation { channel: b'A', rule: name("wrong-fds") },
        Record::Order { order: name("kill"), req: Some(ReqId(4)), by: Some(name("operator")) },
        Record::Order { order: name("refused"), req: None, by: None },
        Record::Write {
            req: ReqId(2),
            write: Box::new(WriteRecord {
                connection: 3,
                path: PathBytes::new(".env").unwrap(),
                values: Values::Sealed,
                size: 9,
                digest: [0x22; 32],
                credentials: List::new(vec![CredentialName::new("TOKEN").unwrap()]).unwrap(),
                reason: None,
                approval: None,
            }),
        },
        Record::Credential {
            verb: name("request"),
            name: CredentialName::new("TOKEN").unwrap(),
            connection: Some(3),
            reason: Some(Reason::new("because").unwrap()),
            code: Some(Code::TooManyAtOnce),
            approval: None,
        },
        Record::Vault { what: name("written"), vault: [5; 16], generation: 7 },
        Record::WriteDenied {
            code: Code::BadPath,
            connection: 3,
            path: PathBytes::new(".git/x").unwrap(),
        },
        Record::Receipt { digest: [0x36; 32], receipt: Box::new(receipt()) },
    ] {
        send(&writers.broker, &record);
    }
    kept_all(&writers.broker, 11);
    for account in [
        began(),
        Account::SpawnFailed { req: ReqId(2), error: failed },
        Account::AgentStarted { pid: 5 },
        Account::AgentExited { status: 1 },
        Account::BrokerLost,
        Account::Ended { status: 70 },
    ] {
        send(&writers.supervisor, &account);
    }
    kept_all(&writers.supervisor, 6);
    writers.close();

    verified(&place.file());
    let text = fs::read_to_string(place.file()).unwrap();
    let bodies: Vec<&str> = text
        .lines()
        .filter(|l| !l.contains("\"writer\":\"recorder\""))
        .map(|l| {
            let from = l.find("\"writer\"").unwrap();
            &l[from..l.rfind(",\"prev\"").unwrap()]
        })
        .collect();
    assert_eq!(
        bodies,
        [
            concat!(
                r#""writer":"broker","event":"intent","req":1,"connection":1,"#,
                r#""argv":["ls","a\\xffb\\n"],"argv_hex":["6c73","61ff620a"],"argc":70,"#,
                r#""argv_sha256":"1111111111111111111111111111111111111111111111111111111111111111","#,
                r#""cwd":"sub/dir","rule":"any","profile":"build","credentials":["TOKEN"],"#,
                r#""reason":"because \\u{202e}","reason_hex":"6265636175736520e280ae""#
            ),
            concat!(
                r#""writer":"broker","event":"denied","code":"SR102","connection":1,"argv":["x"],"#,
                r#""argc":2,"rule":"any","profile":"build","credentials":[]"#
            ),
            concat!(
                r#""writer":"broker","event":"outcome","req":1,"end":"ended","code":"SR401","#,
                r#""wall_us":1,"user_us":2,"system_us":3,"max_rss_kib":4,"stdout_bytes":5,"#,
                r#""stderr_bytes":6,"output_cut":true,"masked":2,"protected":[".git/hooks/x"],"#,
                r#""failed":{"step":"Landlock","errno":95},"#,
                r#""argv_sha256":"3131313131313131313131313131313131313131313131313131313131313131","#,
                r#""program_sha256":"3232323232323232323232323232323232323232323232323232323232323232","#,
                r#""stdin_bytes":8,"#,
                r#""stdin_sha256":"3333333333333333333333333333333333333333333333333333333333333333","#,
                r#""stdout_sha256":"3434343434343434343434343434343434343434343434343434343434343434","#,
                r#""stderr_sha256":"3535353535353535353535353535353535353535353535353535353535353535","#,
                r#""receipt_sha256":"3636363636363636363636363636363636363636363636363636363636363636""#
            ),
            r#""writer":"broker","event":"violation","channel":"A","rule":"wrong-fds""#,
            r#""writer":"broker","event":"order","order":"kill","req":4,"by":"operator""#,
            r#""writer":"broker","event":"order","order":"refused""#,
            concat!(
                r#""writer":"broker","event":"write","req":2,"connection":3,"path":".env","#,
                r#""values":"sealed","size":9,"#,
                r#""sha256":"2222222222222222222222222222222222222222222222222222222222222222","#,
                r#""credentials":["TOKEN"]"#
            ),
            concat!(
                r#""writer":"broker","event":"credential","verb":"request","credential":"TOKEN","#,
                r#""connection":3,"reason":"because","code":"SR112""#
            ),
            concat!(
                r#""writer":"broker","event":"vault","what":"written","#,
                r#""vault":"05050505050505050505050505050505","generation":7"#
            ),
            concat!(
                r#""writer":"broker","event":"write-denied","code":"SR133","#,
                r#""connection":3,"path":".git/x""#
            ),
            concat!(
                r#""writer":"broker","event":"receipt","#,
                r#""receipt_sha256":"3636363636363636363636363636363636363636363636363636363636363636","#,
                r#""tier":"container","uid":1000,"gid":1001,"namespaces":["pid","net"],"proc":"own","#,
                r#""landlock":{"abi":7,"filesystem":["execute","bit-40"],"network":["bind-tcp"],"#,
                r#""scopes":["signal"]},"seccomp_filters":4,"no_new_privs":true,"capabilities":"none","#,
                r#""kill_all":"pid-namespace","limits":"rlimits","protect":"mounts","#,
                r#""metadata":"deputy","private_tmp":"tmpfs","shared_shm":false"#
            ),
            concat!(
                r#""writer":"supervisor","event":"began","#,
                r#""policy":"0101010101010101010101010101010101010101010101010101010101010101","#,
                r#""tier":"full""#
            ),
            concat!(
                r#""writer":"supervisor","event":"spawn-failed","req":2,"#,
                r#""failed":{"step":"Landlock","errno":95}"#
            ),
            r#""writer":"supervisor","event":"agent-started","pid":5"#,
            r#""writer":"supervisor","event":"agent-exited","status":1"#,
            r#""writer":"supervisor","event":"broker-lost""#,
            r#""writer":"supervisor","event":"ended","status":70"#,
        ]
    );
}

fn receipt() -> Receipt {
    Receipt {
        tier: Tier::Container,
        uid: 1000,
        gid: 1001,
        namespaces: ns::PID | ns::NET,
        proc_view: ProcView::Own,
        landlock_abi: 7,
        landlock_fs: 1 | 1 << 40,
        landlock_net: 1,
        landlock_scopes: 2,
        seccomp_filters: 4,
        unprivileged: true,
        kill_all: KillAll::PidNamespace,
        limits: LimitsBy::Rlimits,
        protect: ProtectBy::Mounts,
        metadata: MetadataBy::Deputy,
        private_tmpfs: true,
        shared_shm: false,
    }
}

/// Acknowledgements may be joined, never more than is due.
fn kept_all(socket: &OwnedFd, want: u64) {
    let mut last = 0;
    while last < want {
        let Some(Ack::Kept { count }) = ack(socket) else { panic!("no acknowledgement") };
        assert!(count > last && count <= want);
        last = count;
    }
}

#[test]
fn hostile_text_stays_one_line_and_one_field() {
    let place = Place::new();
    let writers = place.start();
    let hostile: &[&[u8]] = &[
        b"\n{\"v\":1,\"seq\":999}",
        b"\",\"event\":\"intent",
        b"\x1b]0;title\x07",
        "\u{2028}\u{2029}\u{feff}".as_bytes(),
        b"\xf0\x28\x8c\x28",
        &[b'\\'; 4000],
        &[0xff; 16_000],
    ];
    send(&writers.broker, &intent(1, hostile));
    kept(&writers.broker, 1);
    writers.close();
    let lines = recorded(&place.file());
    assert_eq!(lines.len(), 1);
    let exact: Vec<Vec<u8>> = lines[0]["argv_hex"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| {
            let hex = h.as_str().unwrap();
            (0..hex.len())
                .step_by(2)
                .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
                .collect()
        })
        .collect();
    assert_eq!(exact, hostile);
}

#[test]
fn a_restart_continues_the_chain() {
    let place = Place::new();
    for round in 1..=3u64 {
        let writers = place.start();
        send(&writers.supervisor, &began());
        kept(&writers.supervisor, 1);
        assert_eq!(writers.close(), End::Closed);
        assert_eq!(recorded(&place.file()).len() as u64, round);
    }
}

/// What a recorder leaves that is killed: lines after its last seal.
fn unsealed(place: &Place, lines: u64) -> Vec<u8> {
    let mut log = place.open().unwrap();
    for req in 1..=lines {
        log.add(Writer::Broker, &Event::from(intent(req, &[b"ls"])));
    }
    log.write().unwrap();
    fs::read(place.file()).unwrap()
}

/// The last append, as a crash could leave it. (`faults.rs` has every byte.)
#[test]
fn a_torn_tail_is_taken_off_and_told() {
    let first = Place::new();
    let whole = unsealed(&first, 3);
    let third = whole[..whole.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;

    for length in (third..whole.len()).step_by(3) {
        let place = first.copy();
        fs::write(place.file(), &whole[..length]).unwrap();
        drop(place.open().unwrap());
        let lines = recorded(&place.file());
        assert_eq!(events(&lines), ["broker intent", "broker intent", "recorder recovery"]);
        assert_eq!(lines[2]["torn_bytes"].as_u64().unwrap() as usize, length - third);
        assert_eq!(lines[2]["unsigned"], 2);
    }

    // Blocks that were never written are zeros, at the end or before it.
    let place = first.copy();
    fs::write(place.file(), [whole.as_slice(), &[0; 5000]].concat()).unwrap();
    drop(place.open().unwrap());
    assert_eq!(recorded(&place.file())[3]["torn_bytes"], 5000);
    let place = first.copy();
    let mut holed = whole.clone();
    holed[third - 100..third - 50].fill(0);
    fs::write(place.file(), &holed).unwrap();
    drop(place.open().unwrap());
    assert_eq!(events(&recorded(&place.file())), ["broker intent", "recorder recovery"]);
}

/// The first lines ever, cut short.
#[test]
fn a_log_that_was_cut_short_at_its_beginning_begins() {
    let first = Place::new();
    drop(first.open().unwrap());
    let whole = fs::read(first.file()).unwrap();
    for length in (0..=whole.len()).step_by(11) {
        let place = first.copy();
        fs::write(place.file(), &whole[..length]).unwrap();
        drop(place.open().unwrap());
        verified(&place.file());
    }
    let place = first.copy();
    fs::remove_file(place.file()).unwrap();
    drop(place.open().unwrap());
    verified(&place.file());
}

#[test]
fn what_a_crash_cannot_leave_is_refused_and_left_alone() {
    let first = Place::new();
    let whole = unsealed(&first, 3);
    let text = String::from_utf8(whole.clone()).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let forged = text.replace("\"req\":2", "\"req\":7");
    let damaged: &[Vec<u8>] = &[
        [whole.as_slice(), b"not a record\n"].concat(),
        [whole.as_slice(), b"\n"].concat(),
        [whole.as_slice(), &vec![b'x'; 3 << 20]].concat(),
        forged.into_bytes(),
        lines[1..].concat().into_bytes(),
        [lines[0], lines[2]].concat().into_bytes(),
        [lines[0], lines[1], lines[1]].concat().into_bytes(),
    ];
    for damaged in damaged {
        let place = first.copy();
        fs::write(place.file(), damaged).unwrap();
        assert_eq!(place.open().unwrap_err(), Unusable::Damaged);
        assert_eq!(&fs::read(place.file()).unwrap(), damaged);
    }
}

/// What was sealed is known, whatever becomes of the log.
#[test]
fn a_sealed_log_that_is_shorter_or_other_is_refused() {
    let first = Place::new();
    first.session(3);
    let whole = fs::read(first.file()).unwrap();
    let seal = whole[..whole.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;
    for length in (0..seal).step_by(97).chain([0, seal - 1]) {
        let place = first.copy();
        fs::write(place.file(), &whole[..length]).unwrap();
        assert_eq!(place.open().unwrap_err(), Unusable::Damaged, "{length}");
    }
    // The seal itself is in the key file, and is written again.
    for length in (seal..=whole.len()).step_by(7) {
        let place = first.copy();
        fs::write(place.file(), &whole[..length]).unwrap();
        drop(place.open().unwrap());
        assert!(fs::read(place.file()).unwrap().starts_with(&whole), "{length}");
    }
    let place = first.copy();
    let mut other = whole.clone();
    other[seal + 20] ^= 1;
    fs::write(place.file(), &other).unwrap();
    assert_eq!(place.open().unwrap_err(), Unusable::Damaged);

    let place = first.copy();
    fs::remove_file(place.file()).unwrap();
    assert_eq!(place.open().unwrap_err(), Unusable::Damaged);
}

#[test]
fn without_its_key_a_log_is_not_continued() {
    let first = Place::new();
    first.session(3);
    let key = fs::read(first.key()).unwrap();
    let place = first.copy();
    fs::remove_file(place.key()).unwrap();
    assert_eq!(place.open().unwrap_err(), Unusable::NoKey);
    for damaged in [key[..key.len() - 1].to_vec(), vec![], vec![0; 100]] {
        fs::write(place.key(), damaged).unwrap();
        assert_eq!(place.open().unwrap_err(), Unusable::Damaged);
    }
    // An older key: another session has gone on since.
    first.session(3);
    fs::write(first.key(), &key).unwrap();
    assert_eq!(first.open().unwrap_err(), Unusable::Damaged);
}

/// The secret is in its file, readable by the recorder alone, and each is gone
/// when the next comes.
#[test]
fn keys_are_replaced() {
    let place = Place::new();
    let mut seen = Vec::new();
    for _ in 0..3 {
        place.session(1);
        let text = fs::read_to_string(place.key()).unwrap();
        let secret = text.rsplit_once("secret ").unwrap().1.trim().to_owned();
        assert_eq!(fs::metadata(place.key()).unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(!seen.contains(&secret));
        seen.push(secret);
    }
    for entry in fs::read_dir(place.folder.path()).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(seen[..2].iter().all(|secret| !text.contains(secret)));
    }
    let first = fs::read_to_string(place.folder.path().join("first-key.pub")).unwrap();
    assert_eq!(verified(&place.file())[0]["key"], first.trim());
}

/// The old file's blocks are overwritten, not only let go.
#[test]
fn an_erased_key_is_zeros_to_who_holds_the_old_file() {
    use std::io::Read as _;
    let place = Place::new();
    drop(place.open().unwrap());
    let mut old = fs::File::open(place.key()).unwrap();
    place.session(1);
    let mut bytes = Vec::new();
    old.read_to_end(&mut bytes).unwrap();
    assert!(bytes.len() > 200 && bytes.iter().all(|b| *b == 0));
}

#[test]
fn only_plain_files_of_its_own_will_do() {
    let first = Place::new();
    first.session(1);
    for file in ["audit.jsonl", "key", "lock"] {
        let refused = |spoil: &dyn Fn(&std::path::Path)| {
            let place = first.copy();
            spoil(&place.folder.path().join(file));
            assert_eq!(place.open().unwrap_err(), Unusable::NotOurs, "{file}");
        };
        refused(&|path| {
            let elsewhere = path.with_extension("elsewhere");
            fs::rename(path, &elsewhere).unwrap();
            symlink(&elsewhere, path).unwrap();
        });
        refused(&|path| {
            fs::remove_file(path).unwrap();
            nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        });
        refused(&|path| fs::hard_link(path, path.with_extension("other")).unwrap());
        refused(&|path| fs::set_permissions(path, fs::Permissions::from_mode(0o622)).unwrap());
    }

    let open = first.open().unwrap();
    assert_eq!(first.open().unwrap_err(), Unusable::Busy);
    drop(open);
    drop(first.open().unwrap());
}

#[test]
fn a_writer_that_breaks_the_protocol_is_no_longer_heard() {
    for packet in [vec![], vec![9, 9], vec![0xff; 4], vec![0; 4000]] {
        let place = Place::new();
        let writers = place.start();
        if packet.is_empty() {
            // An orderly end is none.
            nix::sys::socket::shutdown(
                std::os::fd::AsRawFd::as_raw_fd(&writers.broker),
                nix::sys::socket::Shutdown::Write,
            )
            .unwrap();
        } else {
            packet::send(writers.broker.as_fd(), &packet, &[]).unwrap();
        }
        while ack(&writers.broker).is_some() {}
        // The other one is heard as before.
        send(&writers.supervisor, &Account::Ended { status: 0 });
        kept(&writers.supervisor, 1);
        writers.close();
        let want: &[&str] = if packet.is_empty() {
            &["supervisor ended"]
        } else {
            &["recorder violation", "supervisor ended"]
        };
        assert_eq!(events(&recorded(&place.file())), want);
    }
}

#[test]
fn descriptors_are_a_violation() {
    let place = Place::new();
    let writers = place.start();
    let bytes = strongroom_protocol::codec::encode(&outcome(1)).unwrap();
    packet::send(writers.broker.as_fd(), &bytes, &[writers.broker.as_fd()]).unwrap();
    while ack(&writers.broker).is_some() {}
    writers.close();
    assert_eq!(events(&recorded(&place.file())), ["recorder violation"]);
}

/// A writer that does not read acknowledgements holds nobody up, and gets one
/// for all when it does.
#[test]
fn a_deaf_writer_holds_nobody_up() {
    let place = Place::new();
    let writers = place.start();
    for n in 1..=3000 {
        send(&writers.supervisor, &Account::Exited { req: ReqId(n), status: 0 });
    }
    send(&writers.broker, &intent(1, &[b"ls"]));
    kept(&writers.broker, 1);
    let mut last = 0;
    while last < 3000 {
        let Some(Ack::Kept { count }) = ack(&writers.supervisor) else { panic!() };
        last = count;
    }
    writers.close();
    assert_eq!(recorded(&place.file()).len(), 3001);
}

#[test]
fn an_older_vault_is_on_the_record_and_the_broker_is_told() {
    let place = Place::new();
    let vault = |generation| Record::Vault {
        what: Name::new("opened").unwrap(),
        vault: [5; 16],
        generation,
    };
    let writers = place.start();
    send(&writers.broker, &vault(7));
    kept(&writers.broker, 1);
    writers.close();

    let writers = place.start();
    send(&writers.broker, &vault(6));
    assert_eq!(ack(&writers.broker), Some(Ack::Refused { errno: nix::libc::ESTALE }));
    // The supervisor is still heard: its account of the end belongs in the log.
    send(&writers.supervisor, &began());
    kept(&writers.supervisor, 1);
    assert_eq!(writers.close(), End::Closed);
    let text = std::fs::read_to_string(place.file()).unwrap();
    assert!(text.contains("\"code\":\"SR722\""), "{text}");

    // The operator takes it as it is.
    let file = place.folder.path().join("vaults");
    let id = "05".repeat(16);
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{id} 7\n"));
    fs::write(&file, format!("{id} 6 7\n")).unwrap();
    let writers = place.start();
    send(&writers.broker, &vault(6));
    kept(&writers.broker, 1);
    writers.close();
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{id} 6\n"));
    let lines = recorded(&place.file());
    let last: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    assert!(last.ends_with(&["vault-accepted", "vault"]), "{last:?}");
    let segments = strongroom_audit::folder::segments(place.folder.path()).unwrap();
    let report = strongroom_audit::verify::verify(&segments, &Default::default(), 1).unwrap();
    assert!(report.is_clean(), "{:?} {:?}", report.findings, report.disagreements);
}
