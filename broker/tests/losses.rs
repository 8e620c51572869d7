//! Somebody goes away, or hangs.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::time::{Duration, Instant};

use common::*;
use strongroom_broker::End;
use strongroom_protocol::channel::a::{Answer, Outcome, Request};
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::channel::s::{Command, Event};
use strongroom_protocol::codes::Code;
use strongroom_protocol::types::ReqId;

fn ended(req: u64, code: Code) -> impl Fn(&Record) -> bool {
    move |r| {
        matches!(
            r, Record::Outcome { req: ReqId(r), outcome: Outcome::Ended(c), .. } if *r == req && *c == code
        )
    }
}

fn spawns(world: &World) -> usize {
    world.commands.borrow().iter().filter(|c| matches!(c, Command::Spawn { .. })).count()
}

#[test]
fn a_client_that_vanishes_takes_its_commands_along() {
    with(plan(), async |world| {
        let (agent, bystander) = (world.agent().await, world.agent().await);
        let kept = start(&bystander, 1, &["hang"]).await;
        let _streams = [start(&agent, 1, &["hang"]).await, start(&agent, 2, &["hang"]).await];
        drop(agent);
        world.recorded("the first", ended(2, Code::ClientGone)).await;
        world.recorded("the second", ended(3, Code::ClientGone)).await;
        assert!(!world.commands.borrow().contains(&Command::Kill { req: kept.id }));
    });
}

#[test]
fn a_client_that_vanishes_while_its_command_starts() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        agent.send(&exec(1, &["noready"]), &[]).await.unwrap();
        world.until("the worker is there", |w| spawns(w) == 1).await;
        drop(agent);
        world.recorded("the end", ended(1, Code::ClientGone)).await;
        assert!(world.commands.borrow().contains(&Command::Kill { req: ReqId(1) }));
    });
}

#[test]
fn a_worker_that_vanishes() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let (report, ..) = whole(&agent, &["vanish"]).await;
        assert_eq!(report.outcome, Outcome::Ended(Code::WorkerLost));
        world.recorded("the end", ended(1, Code::WorkerLost)).await;
        assert_eq!(whole(&agent, &["echo", "x"]).await.0.outcome, Outcome::Exited(0));
    });
}

#[test]
fn a_worker_that_never_gets_ready() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let start = Instant::now();
        let refused = ask(&agent, &exec(1, &["noready"])).await;
        assert_eq!(refused, Answer::Refused { tag: 1, denial: Code::WorkerLost.into() });
        assert!((9..12).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
        world
            .until("it is ended", |w| {
                w.commands.borrow().contains(&Command::Kill { req: ReqId(1) })
            })
            .await;
    });
}

#[test]
fn a_worker_that_does_not_end_its_command_in_time() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let mut request = exec(1, &["hang"]);
        let Request::Exec { timeout_ms, .. } = &mut request else { unreachable!() };
        *timeout_ms = Some(200);
        let start = Instant::now();
        assert!(matches!(ask(&agent, &request).await, Answer::Started { .. }));
        let report = exited(&agent, ReqId(1)).await;
        assert_eq!(report.outcome, Outcome::Ended(Code::WallTime));
        let taken = start.elapsed();
        assert!(
            taken > Duration::from_millis(2200) && taken < Duration::from_millis(3500),
            "{taken:?}"
        );
    });
}

#[test]
fn nothing_runs_before_its_intent_is_kept() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        world.disk.set(Disk::Stuck);
        agent.send(&exec(1, &["echo", "x"]), &[]).await.unwrap();
        world.recorded("the intent is sent", |r| matches!(r, Record::Intent { .. })).await;
        world.until("its worker is asked for", |w| spawns(w) == 1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(world.launches.borrow().len(), 0);
        // Control: nothing else was missing.
        world.disk.set(Disk::Fine);
        let kept = strongroom_protocol::channel::r::Ack::Kept { count: 1 };
        world.recorder.send(&kept, &[]).await.unwrap();
        world.until("it runs", |w| w.launches.borrow().len() == 1).await;
    });
}

#[test]
fn a_full_disk_runs_nothing_and_ends_everything() {
    with(plan(), async |world| {
        let (agent, bystander) = (world.agent().await, world.agent().await);
        let _running = start(&bystander, 1, &["hang"]).await;
        world.disk.set(Disk::Full);
        let refused = ask(&agent, &exec(1, &["echo", "x"])).await;
        assert_eq!(refused, Answer::Refused { tag: 1, denial: Code::RecordRefused.into() });
        assert_eq!(world.end().await, End::RecorderLost);
        assert_eq!(world.launches.borrow().len(), 1, "control: that of the bystander");
        assert!(world.commands.borrow().contains(&Command::Shutdown { now: true }));
    });
}

#[test]
fn the_recorder_goes() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        world.recorder.close();
        assert_eq!(world.end().await, End::RecorderLost);
        assert!(world.commands.borrow().contains(&Command::Shutdown { now: true }));
        drop(agent);
    });
}

#[test]
fn the_supervisor_goes() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let _running = start(&agent, 1, &["hang"]).await;
        world.supervisor.close();
        assert_eq!(world.end().await, End::SupervisorLost);
    });
}

#[test]
fn the_session_ends_in_order() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let running = start(&agent, 1, &["hang"]).await;
        world.supervisor.send(&Event::Drain, &[]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let refused = ask(&agent, &exec(2, &["echo", "x"])).await;
        assert_eq!(refused, Answer::Refused { tag: 2, denial: Code::ShuttingDown.into() });
        drop(agent);
        world.recorded("the end", ended(running.id.0, Code::ClientGone)).await;
        world.supervisor.close();
        assert_eq!(world.end().await, End::Finished);
        assert_eq!(spawns(&world), 1);
    });
}

/// The agent has an intent on its way when the session is ended, which ends all
/// workers: the command does not run, and has its outcome.
#[test]
fn a_command_between_intent_and_launch_when_the_session_ends() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        world.disk.set(Disk::Stuck);
        agent.send(&exec(1, &["echo", "x"]), &[]).await.unwrap();
        world.recorded("the intent", |r| matches!(r, Record::Intent { .. })).await;
        world.until("its worker is asked for", |w| spawns(w) == 1).await;
        world.supervisor.send(&Event::Drain, &[]).await.unwrap();
        world.end_workers();
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.disk.set(Disk::Fine);
        let kept = strongroom_protocol::channel::r::Ack::Kept { count: 1 };
        world.recorder.send(&kept, &[]).await.unwrap();
        let (refused, _) = answer(&agent).await;
        assert_eq!(refused, Answer::Refused { tag: 1, denial: Code::ShuttingDown.into() });
        world.recorded("the outcome", ended(1, Code::ShuttingDown)).await;
        assert_eq!(world.launches.borrow().len(), 0);
    });
}

#[test]
fn who_says_nothing_is_shown_out() {
    with(plan(), async |world| {
        let silent = world.stranger();
        let start = Instant::now();
        assert!(matches!(silent.receive().await, Ok(None)));
        assert!((4..8).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    });
}

/// The jail is empty and the supervisor done, and what the command has written
/// is still on its way: its outcome is on record before the broker goes.
#[test]
fn a_session_that_ends_waits_for_the_last_outcome() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let _unread = start(&agent, 1, &["flood", "120000", "0"]).await;
        // Its jail is empty within this; its output waits for a client that does
        // not read it, which keeps an outcome back for a second.
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.supervisor.send(&Event::Drain, &[]).await.unwrap();
        world.supervisor.close();
        assert_eq!(world.end().await, End::Finished);
        let records = world.records.borrow();
        let outcomes = records.iter().filter(|r| matches!(r, Record::Outcome { .. })).count();
        assert_eq!(outcomes, 1, "{records:?}");
    });
}
