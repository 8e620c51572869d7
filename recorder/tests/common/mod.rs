//! Writers, and a reader that checks the chain.
#![allow(dead_code)]

pub mod place;

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use serde_json::Value;
use strongroom_audit::line::Line;
use strongroom_audit::schema::conforms;
use strongroom_protocol::channel::a::{Outcome, Usage};
use strongroom_protocol::channel::r::{Account, Ack, ActionRecord, Record};
use strongroom_protocol::codec;
use strongroom_protocol::receipt::Tier;
use strongroom_protocol::types::*;
use strongroom_recorder::log::{Limits, Settings};
use strongroom_sys::packet;

pub const SESSION: [u8; 16] = [0xab; 16];

pub fn settings() -> Settings {
    Settings {
        session: "ab".repeat(16),
        boot: "a boot".to_owned(),
        limits: Limits::default(),
        clock: strongroom_recorder::clock::now,
    }
}

pub fn arg(bytes: impl Into<Vec<u8>>) -> Arg {
    Arg::new(bytes).unwrap()
}

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub fn action(argv: &[&[u8]]) -> Box<ActionRecord> {
    Box::new(ActionRecord {
        connection: 1,
        argv: List::new(argv.iter().map(|a| arg(*a)).collect()).unwrap(),
        argc: 2,
        argv_digest: None,
        cwd: None,
        rule: Some(name("any")),
        profile: Some(name("build")),
        credentials: List::empty(),
        reason: None,
        approval: None,
    })
}

pub fn intent(req: u64, argv: &[&[u8]]) -> Record {
    Record::Intent { req: ReqId(req), action: action(argv) }
}

pub fn outcome(req: u64) -> Record {
    Record::Outcome {
        req: ReqId(req),
        outcome: Outcome::Exited(0),
        usage: Usage::default(),
        output: [1, 2],
        output_cut: false,
        protected: List::empty(),
        failed: None,
        masked: 0,
        digests: None,
    }
}

pub fn began() -> Account {
    Account::Began { session: SESSION, policy: [1; 32], tier: Tier::Full }
}

pub fn send(socket: &OwnedFd, message: &impl bincode_free::Encode) {
    packet::send(socket.as_fd(), &message.bytes(), &[]).unwrap();
}

/// The two record types share nothing but their encoding.
pub mod bincode_free {
    use super::*;

    pub trait Encode {
        fn bytes(&self) -> Vec<u8>;
    }

    impl Encode for Record {
        fn bytes(&self) -> Vec<u8> {
            codec::encode(self).unwrap().to_vec()
        }
    }

    impl Encode for Account {
        fn bytes(&self) -> Vec<u8> {
            codec::encode(self).unwrap().to_vec()
        }
    }
}

/// The next acknowledgement; `None` at the end.
pub fn ack(socket: &OwnedFd) -> Option<Ack> {
    let mut buffer = [0; 1024];
    let packet = packet::receive(socket.as_fd(), &mut buffer).unwrap();
    (packet.len > 0).then(|| codec::decode(&buffer[..packet.len]).unwrap())
}

/// Waits until so many records of this writer are kept.
pub fn kept(socket: &OwnedFd, want: u64) {
    loop {
        match ack(socket) {
            Some(Ack::Kept { count }) if count >= want => return assert_eq!(count, want),
            Some(Ack::Kept { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Lines that the recorder adds by itself, whatever is recorded.
const OWN: [&str; 4] = ["segment", "opened", "checkpoint", "seal"];

/// All lines, once their chain, numbers and form are checked.
pub fn verified(file: &Path) -> Vec<Value> {
    let bytes = std::fs::read(file).unwrap();
    let mut prev = [0; 32];
    let mut lines = Vec::new();
    let mut clock = 0;
    for bytes in bytes.split_inclusive(|b| *b == b'\n') {
        let bytes = bytes.strip_suffix(b"\n").expect("a whole line");
        let line = Line::parse(bytes).unwrap();
        assert_eq!(conforms(&line), Ok(()));
        assert_eq!((line.seq, line.prev), (lines.len() as u64 + 1, prev));
        assert!(line.mono_us >= clock);
        clock = line.mono_us;
        prev = line.leaf.hash();
        lines.push(serde_json::from_slice(bytes).unwrap());
    }
    lines
}

/// The lines that were recorded, without those of the recorder's own course.
pub fn recorded(file: &Path) -> Vec<Value> {
    let mut lines = verified(file);
    lines.retain(|line| !OWN.contains(&line["event"].as_str().unwrap()));
    lines
}

/// The events, as `writer event`.
pub fn events(lines: &[Value]) -> Vec<String> {
    lines
        .iter()
        .map(|l| format!("{} {}", l["writer"].as_str().unwrap(), l["event"].as_str().unwrap()))
        .collect()
}
