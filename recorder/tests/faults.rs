//! The recorder killed, the power cut, the disk failing, at every call it makes
//! on its files. After each: the next recorder goes on, the verifier raises no
//! alarm, and nothing is lost that was acknowledged.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;
mod model;

use std::collections::BTreeSet;
use std::time::Duration;

use common::*;
use model::{Fault, Lost, Model};
use strongroom_audit::line::Line;
use strongroom_audit::note::Checkpoint;
use strongroom_audit::verify::{Evidence, verify};
use strongroom_recorder::log::{Limits, Log, Settings};
use strongroom_recorder::record::{Event, Writer};
use strongroom_sys::Errno;

/// Small, so that much happens in few calls.
fn small(session: u8) -> Settings {
    let limits =
        Limits { checkpoint: 5, epoch_lines: 12, epoch: Duration::from_secs(600), segment: 9_000 };
    Settings { session: format!("{session:02x}").repeat(16), limits, ..settings() }
}

/// What was acknowledged: to outlive the recorder, to outlive the power.
#[derive(Debug, Default, Clone)]
struct Acknowledged {
    written: BTreeSet<u64>,
    durable: BTreeSet<u64>,
}

/// Two sessions, as `serve` would drive them. Ends early where the disk fails.
fn work(disk: &Model, acknowledged: &mut Acknowledged) -> Result<(), Errno> {
    let mut req = 0;
    for session in 1..=2 {
        let errno = |e| match e {
            strongroom_recorder::disk::Unusable::Errno(errno) => errno,
            other => panic!("{other}"),
        };
        let mut log = Log::open(disk.clone(), small(session)).map_err(errno)?;
        for turn in 0..14u64 {
            for _ in 0..=turn % 3 {
                req += 1;
                log.add(Writer::Broker, &Event::from(intent(req, &[b"ls", b"-l"])));
            }
            if turn % 5 == 4 {
                log.settle()?;
                acknowledged.durable.extend(1..=req);
            } else {
                log.write()?;
            }
            acknowledged.written.extend(1..=req);
            if turn % 2 == 1 && log.settle_due(Duration::ZERO).is_some() {
                log.settle()?;
            }
            log.maintain()?;
            log.pack();
        }
        while log.pack() {}
        log.close()?;
        acknowledged.durable.extend(1..=req);
    }
    Ok(())
}

/// The state after a fault is as it should be, and the next session goes well.
fn aftermath(disk: &Model, kept: &BTreeSet<u64>, context: &str) {
    let look = |disk: &Model| {
        let evidence = Evidence {
            first_key: disk.first_key(),
            witnessed: disk.told().iter().map(|note| Checkpoint::parse(note).unwrap()).collect(),
            key_file: disk.key_file(),
        };
        let report = verify(&disk.segments(), &evidence, 1).unwrap();
        assert!(report.findings.is_empty(), "{context}: {:?}", report.findings);
        report
    };
    look(disk);
    let mut log = Log::open(disk.clone(), small(9))
        .unwrap_or_else(|error| panic!("{context}: {error}: {}", disk.describe()));
    log.add(Writer::Broker, &Event::from(intent(1_000_000, &[b"after"])));
    log.settle().unwrap();
    while log.pack() {}
    log.close().unwrap();
    let report = look(disk);
    assert!(report.ended && report.signed == report.records, "{context}");
    let there = requests(disk);
    assert!(there.contains(&1_000_000));
    let missing: Vec<_> = kept.difference(&there).collect();
    assert!(missing.is_empty(), "{context}: acknowledged and lost: {missing:?}");
}

fn requests(disk: &Model) -> BTreeSet<u64> {
    let mut there = BTreeSet::new();
    for segment in disk.segments() {
        let mut take = |piece: strongroom_audit::folder::Piece<'_>| {
            if let strongroom_audit::folder::Piece::Line(bytes) = piece {
                there.extend(Line::parse(bytes).unwrap().number("req"));
            }
        };
        segment.read(&mut take).unwrap();
    }
    there
}

fn calls() -> u64 {
    let disk = Model::default();
    work(&disk, &mut Acknowledged::default()).unwrap();
    aftermath(&disk, &(1..=52).collect(), "no fault");
    assert!(disk.segments().len() >= 3, "{}", disk.describe());
    disk.calls()
}

fn many() -> u64 {
    if std::env::var_os("STRONGROOM_MANY").is_some() { 40 } else { 1 }
}

#[test]
fn killed_at_every_call() {
    let calls = calls();
    for at in 1..=calls {
        let disk = Model::failing(at, Fault::Killed);
        let mut acknowledged = Acknowledged::default();
        // Whatever it says: who is killed while compressing has lost nothing.
        let _ = work(&disk, &mut acknowledged);
        aftermath(&disk.after_kill(), &acknowledged.written, &format!("killed at call {at}"));
    }
    println!("killed at {calls} points: no alarm, nothing acknowledged lost");
}

#[test]
fn the_power_cut_at_every_call() {
    let calls = calls();
    let mut points = 0;
    for at in 1..=calls {
        let disk = Model::failing(at, Fault::Killed);
        let mut acknowledged = Acknowledged::default();
        // Whatever it says: who is killed while compressing has lost nothing.
        let _ = work(&disk, &mut acknowledged);
        let whole = [Lost::Everything, Lost::Nothing, Lost::Half, Lost::Zeroed];
        let random = (0..many()).map(|round| Lost::Random(at * 1000 + round));
        for lost in whole.into_iter().chain(random) {
            points += 1;
            let context = format!("power cut at call {at}, {lost:?}");
            aftermath(&disk.after_power_cut(lost), &acknowledged.durable, &context);
        }
    }
    println!("power cut at {points} points: no alarm, nothing durable lost");
}

#[test]
fn every_call_fails_once() {
    let calls = calls();
    let mut points = 0;
    for at in 1..=calls {
        for fault in [Fault::Errno(Errno::EIO), Fault::Errno(Errno::ENOSPC), Fault::Short] {
            points += 1;
            let disk = Model::failing(at, fault);
            let mut acknowledged = Acknowledged::default();
            // A short write is written on; what compressing cannot write waits
            // for the next start; everything else ends the recorder.
            let done = work(&disk, &mut acknowledged);
            let context = format!("{fault:?} at call {at}: {done:?}");
            aftermath(&disk.after_kill(), &acknowledged.written, &context);
        }
    }
    println!("{points} calls failed: no alarm, nothing acknowledged lost");
}

/// A disk that stays full: the recorder ends, and starts when there is room.
#[test]
fn a_full_disk_stays_full() {
    for at in (1..=calls()).step_by(5) {
        let disk = Model::failing(at, Fault::Full);
        let mut acknowledged = Acknowledged::default();
        let end = work(&disk, &mut acknowledged);
        assert!(end.is_ok() || end == Err(Errno::ENOSPC), "{end:?}");
        aftermath(&disk.after_kill(), &acknowledged.written, &format!("full from call {at}"));
    }
}
