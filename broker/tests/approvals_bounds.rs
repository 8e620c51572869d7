//! What keeps a yes from being used, or a human from being asked.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::time::{Duration, Instant};

use common::approving::*;
use common::*;
use strongroom_protocol::action::{ActionObject, Deed};
use strongroom_protocol::channel::a::Request;
use strongroom_protocol::channel::o::{Order, Reply, Verdict};
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::channel::s::Command;
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::{Approvals, Credential, Plain};
use strongroom_protocol::types::*;

#[test]
fn what_cannot_be_looked_at_is_not_asked_for() {
    with(long(), async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        for (words, code) in [
            (&["blind"][..], Code::NotExaminable),
            (&["nojail", "ask"], Code::JailFailed),
            (&["nospawn", "ask"], Code::JailFailed),
        ] {
            assert_eq!(ask(&agent, &exec(1, words)).await, refused(1, code), "{words:?}");
            world
                .recorded(
                    "why",
                    |r| matches!(r, Record::Examined { code: Some(c), .. } if *c == code),
                )
                .await;
        }
        assert!(listed(&operator).await.is_empty());
        assert_eq!(count(&world, |r| matches!(r, Record::Asked { .. })), 0);
        // A client that is gone ends the look.
        agent.send(&exec(2, &["noready", "ask"]), &[]).await.unwrap();
        world.until("a look", |w| w.commands.borrow().len() == 5).await;
        drop(agent);
        world
            .until("killed", |w| w.commands.borrow().contains(&Command::Kill { req: ReqId(4) }))
            .await;
    });
}

#[test]
fn so_many_may_wait() {
    let mut plan = long();
    plan.approvals.pending = 5;
    with(plan, async |world| {
        let (agent, second) = (world.agent().await, world.agent().await);
        for n in 0..4u32 {
            asked(&agent, &exec(n, &["echo", "ask", &n.to_string()])).await;
        }
        let spawned = |w: &World| w.commands.borrow().len();
        let before = spawned(&world);
        assert_eq!(
            ask(&agent, &exec(9, &["echo", "ask", "x"])).await,
            refused(9, Code::TooManyAsked)
        );
        assert_eq!(spawned(&world), before, "not even looked at");
        asked(&second, &exec(1, &["echo", "ask", "y"])).await;
        assert_eq!(ask(&second, &exec(9, &ECHO)).await, refused(9, Code::TooManyAsked));
        // Commands that need no human go on.
        whole(&agent, &["echo", "x"]).await;
        world
            .recorded("it", |r| matches!(r, Record::Denied { code: Code::TooManyAsked, .. }))
            .await;
    });
}

#[test]
fn humans_who_say_no_are_left_alone_for_a_while() {
    let mut plan = long();
    plan.approvals = Approvals { denials: 2, cool_down_ms: 400, ..plan.approvals };
    with(plan, async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        for tag in 0..2 {
            let id = asked(&agent, &exec(tag, &ECHO)).await;
            vote(&operator, id, Verdict::Deny).await;
            assert_eq!(answer(&agent).await.0, refused(tag, Code::ApprovalDenied));
        }
        let since = Instant::now();
        let before = world.commands.borrow().len();
        let question = Reason::new("?").unwrap();
        let wish = Request::AskApproval { tag: 4, question, patience_ms: None };
        assert_eq!(ask(&agent, &exec(3, &ECHO)).await, refused(3, Code::CoolingDown));
        assert_eq!(ask(&agent, &wish).await, refused(4, Code::CoolingDown));
        assert_eq!(world.commands.borrow().len(), before, "not even looked at");
        world.recorded("the question", |r| matches!(r, Record::Unasked { .. })).await;
        tokio::time::sleep(Duration::from_millis(400).saturating_sub(since.elapsed())).await;
        asked(&agent, &exec(5, &ECHO)).await;
    });
}

#[test]
fn a_credential_that_is_taken_back_meanwhile() {
    let mut plan = long();
    plan.credentials =
        vec![Credential { name: credential("TOKEN"), env: true, file: false, plain: Plain::Deny }];
    plan.rules.iter_mut().find(|r| r.name == named("ask-echo")).unwrap().credentials =
        vec![credential("TOKEN")];
    for revoke in [
        None,
        Some(Order::Revoke { name: credential("TOKEN") }),
        Some(Order::Delete { name: credential("TOKEN") }),
    ] {
        let values = credentials(&[("TOKEN", b"c4nary-9fQ2x7LmZk31")]);
        with_credentials(plan.clone(), values, async |world| {
            let (agent, operator) = (world.agent().await, world.operator().await);
            let id = asked(&agent, &exec(1, &ECHO)).await;
            let action = ActionObject::decode(&shown(&operator, id).await).unwrap();
            let Deed::Exec(what) = &action.deed else { panic!() };
            assert_eq!(what.credentials.as_slice(), [credential("TOKEN")]);
            if let Some(revoke) = &revoke {
                assert!(matches!(order(&operator, revoke).await, Reply::Changed { .. }));
            }
            approve(&operator, id).await;
            match revoke {
                None => runs(&agent).await,
                Some(_) => {
                    assert_eq!(answer(&agent).await.0, refused(1, Code::CredentialRefused));
                    assert_eq!(launched(&world), 0);
                }
            }
        });
    }
}

#[test]
fn values_of_credentials_are_not_shown() {
    let canary = "c4nary-9fQ2x7LmZk31";
    let values = credentials(&[("TOKEN", canary.as_bytes())]);
    with_credentials(long(), values, async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        let id = asked(&agent, &exec(1, &["echo", "ask", canary])).await;
        let bytes = shown(&operator, id).await;
        let holds = |bytes: &[u8]| bytes.windows(canary.len()).any(|w| w == canary.as_bytes());
        assert!(!holds(&bytes));
        let list = listed(&operator).await;
        assert!(!list[0].head.as_slice().iter().any(|arg| holds(arg.as_bytes())));
        // What runs is what was asked for, and what was masked still counts.
        let other = asked(&agent, &exec(2, &["echo", "ask", "c4nary-9fQ2x7LmZk31-"])).await;
        assert_ne!(other, id);
        approve(&operator, id).await;
        runs(&agent).await;
        assert_eq!(world.launches.borrow()[0].argv, argv(&["echo", "ask", canary]));
    });
}

#[test]
fn what_is_not_on_record_is_not_done() {
    // Not even looked at, or asked.
    with(long(), async |world| {
        let agent = world.agent().await;
        world.disk.set(Disk::Full);
        assert_eq!(ask(&agent, &exec(1, &ECHO)).await, refused(1, Code::RecordRefused));
        world.until("the end", |w| w.commands.borrow().len() == 2).await;
        assert_eq!(*world.commands.borrow(), [Command::Ready, Command::Shutdown { now: true }]);
    });
    // A vote that nobody keeps counts for nothing.
    with(long(), async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        let id = asked(&agent, &exec(1, &ECHO)).await;
        let digest = digest(&shown(&operator, id).await);
        world.disk.set(Disk::Stuck);
        operator.send(&decision(id, digest, Verdict::Approve), &[]).await.unwrap();
        world.recorded("the vote", |r| matches!(r, Record::Voted { .. })).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let settled = |r: &Record| matches!(r, Record::Settled { .. } | Record::Intent { .. });
        assert_eq!((count(&world, settled), launched(&world)), (0, 0));
        world.disk.set(Disk::Full);
        world.recorder.close();
        assert_eq!(answer(&agent).await.0, refused(1, Code::RecordRefused));
        assert_eq!(launched(&world), 0);
    });
}

#[test]
fn the_end_of_the_session_ends_all_requests() {
    for order_ in [Order::KillAll, Order::Shutdown] {
        with(long(), async |world| {
            let (agent, operator) = (world.agent().await, world.operator().await);
            let unused = asked(&agent, &patient(1, &["echo", "ask", "a"], 0)).await;
            answer(&agent).await;
            approve(&operator, unused).await;
            asked(&agent, &exec(2, &ECHO)).await;
            assert_eq!(order(&operator, &order_).await, Reply::Done);
            assert_eq!(answer(&agent).await.0, refused(2, Code::ShuttingDown));
            let ended =
                |r: &Record| matches!(r, Record::Settled { how, .. } if *how == named("ended"));
            world.until("both", |w| count(w, ended) == 2).await;
            assert!(listed(&operator).await.is_empty());
            let again = ask(&agent, &exec(3, &["echo", "ask", "a"])).await;
            assert_eq!(again, refused(3, Code::ShuttingDown));
            assert_eq!(launched(&world), 0);
        });
    }
}
