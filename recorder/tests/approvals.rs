//! Requests for approval, as lines of the log.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::os::fd::AsFd as _;

use common::*;
use strongroom_protocol::channel::o::{Kind, Verdict};
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::codes::Code;
use strongroom_protocol::types::*;
use strongroom_recorder::disk::Folder;
use strongroom_recorder::log::Log;
use strongroom_recorder::serve;
use strongroom_recorder::vaults::Vaults;
use strongroom_sys::{fd, packet};

const DIGEST: [u8; 32] = [0x22; 32];
const APPROVAL: ApprovalId = ApprovalId(3);

fn lines_of(records: &[Record]) -> Vec<serde_json::Value> {
    let folder = tempfile::tempdir().unwrap();
    let path = std::ffi::CString::new(folder.path().to_str().unwrap()).unwrap();
    let anchor = fd::anchor(&path).unwrap();
    let log = Log::open(Folder::open(anchor.as_fd(), None).unwrap(), settings()).unwrap();
    let vaults = Vaults::open(anchor.as_fd()).unwrap();
    let (broker, b) = packet::pair().unwrap();
    let (supervisor, s) = packet::pair().unwrap();
    let recorder = std::thread::spawn(move || serve(log, vaults, b, s).unwrap());
    for (count, record) in (1..).zip(records) {
        send(&broker, record);
        kept(&broker, count);
    }
    drop((broker, supervisor));
    recorder.join().unwrap();
    recorded(&folder.path().join("audit.jsonl"))
}

#[test]
fn from_the_question_to_the_deed() {
    let mut allowed = action(&[b"git", b"push"]);
    allowed.approval = Some(APPROVAL);
    let lines = lines_of(&[
        Record::Examine { req: ReqId(1), approval: APPROVAL, action: action(&[b"git"]) },
        Record::Examined { req: ReqId(1), code: None },
        Record::Asked {
            approval: APPROVAL,
            kind: Kind::Exec,
            digest: DIGEST,
            connection: 4,
            rule: Some(name("push")),
            quorum: 2,
            program: Some([0x33; 32]),
            reason: Some(Reason::new("fix \u{202e}").unwrap()),
        },
        Record::Voted {
            approval: APPROVAL,
            digest: DIGEST,
            approver: name("alice"),
            verdict: Verdict::Approve,
            reason: Some(Reason::new("fine").unwrap()),
        },
        Record::Settled {
            approval: APPROVAL,
            digest: DIGEST,
            how: name("approved"),
            approvers: List::new(vec![name("alice"), name("bob")]).unwrap(),
        },
        Record::Intent { req: ReqId(2), action: allowed },
        Record::Unasked {
            code: Code::CoolingDown,
            connection: 4,
            question: Reason::new("may I?").unwrap(),
        },
    ]);
    let hex = "22".repeat(32);
    let field = |line: usize, key: &str| lines[line][key].clone();
    for line in 2..5 {
        assert_eq!(
            (field(line, "approval"), field(line, "action_sha256")),
            (3.into(), hex.as_str().into())
        );
    }
    assert_eq!((field(0, "event"), field(0, "req")), ("examine".into(), 1.into()));
    assert_eq!((field(1, "event"), field(1, "req")), ("examined".into(), 1.into()));
    assert_eq!((field(2, "kind"), field(2, "quorum")), ("exec".into(), 2.into()));
    assert_eq!((field(2, "rule"), field(2, "connection")), ("push".into(), 4.into()));
    assert_eq!(field(2, "program_sha256"), "33".repeat(32));
    assert_eq!(field(2, "reason"), "fix \\u{202e}");
    assert_eq!((field(3, "approver"), field(3, "verdict")), ("alice".into(), "approve".into()));
    assert_eq!(field(4, "how"), "approved");
    assert_eq!(field(4, "approvers"), serde_json::json!(["alice", "bob"]));
    assert_eq!((field(5, "event"), field(5, "approval")), ("intent".into(), 3.into()));
    assert_eq!((field(6, "code"), field(6, "question")), ("SR154".into(), "may I?".into()));
}
