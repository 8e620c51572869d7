//! Commands from request to outcome.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::*;
use strongroom_protocol::channel::a::{Answer, Outcome, Request};
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::channel::s::Command;
use strongroom_protocol::codes::Code;
use strongroom_protocol::types::ReqId;

#[test]
fn a_command_runs_and_everything_about_it_is_told() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let (report, stdout, stderr) = whole(&agent, &["both"]).await;
        assert_eq!((stdout.as_slice(), stderr.as_slice()), (b"out".as_slice(), b"err".as_slice()));
        assert_eq!(report.outcome, Outcome::Exited(3));
        assert_eq!((report.stdout_bytes, report.stderr_bytes, report.output_cut), (3, 3, false));
        assert_eq!(report.usage.wall_us, 5);
        assert_eq!(report.receipt, Some(receipt()));

        world.until("all three", |w| w.records.borrow().len() == 3).await;
        let records = world.records.borrow();
        let [
            Record::Intent { req, action },
            Record::Receipt { .. },
            Record::Outcome { req: ended, outcome, output, .. },
        ] = records.as_slice()
        else {
            panic!("{records:?}")
        };
        assert_eq!((*req, *ended), (ReqId(1), ReqId(1)));
        assert_eq!((*outcome, *output), (Outcome::Exited(3), [3, 3]));
        assert_eq!(action.rule, Some(named("any-both")));
        assert_eq!(action.profile, Some(named("good")));
        assert_eq!((action.argc, action.argv_digest), (1, None));
        assert_eq!(
            *world.commands.borrow(),
            [Command::Ready, Command::Spawn { req: ReqId(1), profile: GOOD }]
        );
    });
}

#[test]
fn standard_input_reaches_the_command_and_its_end_too() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let Started { id, mut stdin, stdout, .. } = start(&agent, 1, &["cat"]).await;
        std::io::Write::write_all(&mut stdin, b"through").unwrap();
        drop(stdin);
        let (stdout, report) = tokio::join!(slurp(stdout), exited(&agent, id));
        assert_eq!(
            (stdout.as_slice(), report.outcome),
            (b"through".as_slice(), Outcome::Exited(0))
        );
    });
}

#[test]
fn the_inherited_connection_works_like_any_other() {
    with(plan(), async |world| {
        let agent = AgentPort::new(world.inherited.borrow_mut().take().unwrap()).unwrap();
        let hello = Request::Hello { version: strongroom_protocol::plan::VERSION };
        assert!(matches!(ask(&agent, &hello).await, Answer::Welcome { .. }));
        let (report, stdout, _) = whole(&agent, &["echo", "hi"]).await;
        assert_eq!((report.outcome, stdout.as_slice()), (Outcome::Exited(0), b"hi".as_slice()));
    });
}

#[test]
fn closing_the_inherited_connection_harms_nobody() {
    with(plan(), async |world| {
        drop(world.inherited.borrow_mut().take());
        let agent = world.agent().await;
        assert_eq!(whole(&agent, &["echo", "hi"]).await.0.outcome, Outcome::Exited(0));
    });
}

#[test]
fn signals_go_to_ones_own_commands_only() {
    with(plan(), async |world| {
        let (agent, other) = (world.agent().await, world.agent().await);
        let started = start(&agent, 1, &["hang"]).await;
        let signal = |id| Request::Signal {
            id,
            signal: strongroom_protocol::types::SignalNo::new(15).unwrap(),
        };
        let no_such = |id| Answer::NoSuchCommand { id, code: Code::UnknownCommand };
        assert_eq!(ask(&other, &signal(started.id)).await, no_such(started.id));
        assert_eq!(ask(&agent, &signal(ReqId(99))).await, no_such(ReqId(99)));
        agent.send(&signal(started.id), &[]).await.unwrap();
        assert_eq!(exited(&agent, started.id).await.outcome, Outcome::Signalled(15));
        assert_eq!(ask(&agent, &signal(started.id)).await, no_such(started.id));
    });
}
