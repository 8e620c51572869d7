//! Writers, and a reader that checks the chain.
#![allow(dead_code)]

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use strongroom_protocol::channel::a::{Outcome, Usage};
use strongroom_protocol::channel::r::{Account, Ack, ActionRecord, Record};
use strongroom_protocol::codec;
use strongroom_protocol::receipt::Tier;
use strongroom_protocol::text::hex;
use strongroom_protocol::types::*;
use strongroom_sys::packet;

pub const SESSION: [u8; 16] = [0xab; 16];

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

/// All lines, once their chain, numbers and form are checked.
pub fn verified(file: &Path) -> Vec<Value> {
    let bytes = std::fs::read(file).unwrap();
    let text = String::from_utf8(bytes).expect("UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'));
    let mut prev = [0u8; 32];
    let mut lines = Vec::new();
    let mut clock = 0;
    for line in text.lines() {
        assert!(line.bytes().all(|b| b >= 0x20), "a control character: {line}");
        let value: Value = serde_json::from_str(line).expect(line);
        assert_eq!(value["v"], 1);
        assert_eq!(value["prev"], hex(&prev), "{line}");
        if let Some(before) = lines.last() {
            let before: &Value = before;
            assert_eq!(value["seq"].as_u64().unwrap(), before["seq"].as_u64().unwrap() + 1);
        } else {
            assert_eq!(value["seq"], 1);
        }
        let now = value["mono_us"].as_u64().unwrap();
        assert!(now >= clock);
        clock = now;
        assert!(line.starts_with("{\"v\":1,\"seq\":"), "{line}");
        assert!(line.ends_with(&format!(",\"prev\":\"{}\"}}", hex(&prev))), "{line}");
        prev = Sha256::digest(line.as_bytes()).into();
        lines.push(value);
    }
    lines
}

/// The events, as `writer event`.
pub fn events(lines: &[Value]) -> Vec<String> {
    lines
        .iter()
        .map(|l| format!("{} {}", l["writer"].as_str().unwrap(), l["event"].as_str().unwrap()))
        .collect()
}
