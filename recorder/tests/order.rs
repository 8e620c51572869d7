//! In which order two writers' records stand.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::os::fd::AsFd as _;

use common::place::Place;
use common::*;
use strongroom_protocol::channel::r::Account;
use strongroom_protocol::types::ReqId;
use strongroom_recorder::vaults::Vaults;
use strongroom_recorder::{End, serve};
use strongroom_sys::packet;

/// Whichever socket is read first: the reason stands before what was done.
#[test]
fn a_spawn_stands_behind_its_intent() {
    let place = Place::new();
    let (broker, b) = packet::pair().unwrap();
    let (supervisor, s) = packet::pair().unwrap();
    send(&supervisor, &began());
    for req in 1..=20 {
        send(&broker, &intent(req, &[b"ls"]));
        let spawned = Account::Spawned { req: ReqId(req), slot: req, pid: 7 };
        send(&supervisor, &spawned);
    }
    let (log, vaults) = (place.open().unwrap(), Vaults::open(place.anchor.as_fd()).unwrap());
    let recorder = std::thread::spawn(move || serve(log, vaults, b, s).unwrap());
    kept(&supervisor, 21);
    drop((broker, supervisor));
    assert_eq!(recorder.join().unwrap(), End::Closed);
    let lines = recorded(&place.file());
    let at = |event, req| lines.iter().position(|l| l["event"] == event && l["req"] == req);
    for req in 1..=20 {
        assert!(at("intent", req).unwrap() < at("spawned", req).unwrap(), "{req}");
    }
}

/// The broker is gone when the supervisor ends the session, and may have left
/// records that nobody has read yet.
#[test]
fn the_end_of_a_session_is_its_last_record() {
    let place = Place::new();
    let (broker, b) = packet::pair().unwrap();
    let (supervisor, s) = packet::pair().unwrap();
    send(&supervisor, &began());
    for req in 1..=50 {
        send(&broker, &intent(req, &[b"ls"]));
        send(&broker, &outcome(req));
    }
    send(&supervisor, &Account::Ended { status: 0 });
    let (log, vaults) = (place.open().unwrap(), Vaults::open(place.anchor.as_fd()).unwrap());
    let recorder = std::thread::spawn(move || serve(log, vaults, b, s).unwrap());
    kept(&supervisor, 2);
    // It is over: who lives on is not heard.
    assert_eq!(ack(&broker), None);
    let late = bincode_free::Encode::bytes(&intent(51, &[b"ls"]));
    assert!(packet::send(broker.as_fd(), &late, &[]).is_err());
    drop((broker, supervisor));
    assert_eq!(recorder.join().unwrap(), End::Closed);
    let lines = recorded(&place.file());
    let said: Vec<&str> = lines
        .iter()
        .filter(|line| line["writer"] != "recorder")
        .filter_map(|line| line["event"].as_str())
        .collect();
    assert_eq!((said.len(), said[0], said[101]), (102, "began", "ended"));
}
