//! What a command writes, on its way to the client.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::io::Read as _;
use std::time::{Duration, Instant};

use common::*;
use strongroom_protocol::channel::a::Outcome;
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::plan::Plan;

fn limited(bytes: u64) -> Plan {
    let mut plan = plan();
    plan.profiles[0].limits.output = bytes;
    plan
}

#[test]
fn the_limit_is_for_both_streams_together_and_exact() {
    // stdout, stderr, passed, cut
    for (out, err, passed, cut) in [
        ("60000", "40000", 100_000, false),
        ("60000", "40001", 100_000, true),
        ("100000", "0", 100_000, false),
        ("100001", "0", 100_000, true),
        ("5000000", "0", 100_000, true),
        ("0", "300000", 100_000, true),
        ("0", "0", 0, false),
    ] {
        with(limited(100_000), async move |world| {
            let agent = world.agent().await;
            let (report, stdout, stderr) = whole(&agent, &["flood", out, err]).await;
            // The command went on to its end, whatever was cut.
            assert_eq!(report.outcome, Outcome::Exited(0), "{out} {err}");
            assert_eq!(stdout.len() + stderr.len(), passed, "{out} {err}");
            assert_eq!(report.output_cut, cut, "{out} {err}");
            assert_eq!(report.stdout_bytes.to_string(), out);
            assert_eq!(report.stderr_bytes.to_string(), err);
        });
    }
}

#[test]
fn without_a_limit_all_of_it_comes() {
    with(limited(0), async |world| {
        let agent = world.agent().await;
        let (report, stdout, stderr) = whole(&agent, &["flood", "20000000", "70000"]).await;
        assert_eq!((stdout.len(), stderr.len()), (20_000_000, 70_000));
        assert_eq!((report.stdout_bytes, report.output_cut), (20_000_000, false));
    });
}

#[test]
fn a_client_that_closes_its_end_closes_the_commands() {
    with(limited(0), async |world| {
        let agent = world.agent().await;
        let Started { id, mut stdout, .. } = start(&agent, 1, &["flood", "1000000000", "0"]).await;
        let head = tokio::task::spawn_blocking(move || {
            let mut head = [0; 10];
            stdout.read_exact(&mut head).unwrap();
            head
        });
        assert_eq!(head.await.unwrap(), *b"xxxxxxxxxx");
        // 1: its pipe broke. It did not write a gigabyte into nowhere.
        let report = exited(&agent, id).await;
        assert_eq!(report.outcome, Outcome::Exited(1));
        assert!(report.stdout_bytes < 1_000_000, "{}", report.stdout_bytes);
    });
}

#[test]
fn a_descriptor_kept_open_holds_nobody_up() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let start = Instant::now();
        let (report, stdout, _) = whole(&agent, &["leave-open"]).await;
        assert_eq!((report.outcome, stdout.as_slice()), (Outcome::Exited(0), b"done".as_slice()));
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    });
}

/// Who does not read gets the whole output later; the record does not wait
/// for it.
#[test]
fn a_slow_reader_delays_only_itself() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let Started { id, stdout, .. } = start(&agent, 1, &["flood", "120000", "0"]).await;
        world
            .recorded("the outcome", |r| matches!(r, Record::Outcome { output: [120_000, 0], .. }))
            .await;
        let other = world.agent().await;
        assert_eq!(whole(&other, &["echo", "x"]).await.0.outcome, Outcome::Exited(0));
        let (stdout, report) = tokio::join!(slurp(stdout), exited(&agent, id));
        assert_eq!((stdout.len(), report.stdout_bytes), (120_000, 120_000));
    });
}

/// It reads neither output nor answers, then goes.
#[test]
fn a_dead_reader_is_forgotten_when_it_goes() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let started = start(&agent, 1, &["flood", "900000", "0"]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let operator = world.operator().await;
        drop(agent);
        world.recorded("the outcome", |r| matches!(r, Record::Outcome { .. })).await;
        world.until("nothing runs", |_| true).await;
        let status = order(&operator, &strongroom_protocol::channel::o::Order::Status).await;
        let strongroom_protocol::channel::o::Reply::Status { status } = status else { panic!() };
        assert_eq!(status.running_count, 0);
        drop(started);
    });
}
