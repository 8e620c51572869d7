//! What runs only after a human has said yes, and everything that is not one.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::time::{Duration, Instant};

use common::approving::*;
use common::*;
use sha2::{Digest as _, Sha256};
use strongroom_protocol::action::{ActionObject, Deed};
use strongroom_protocol::channel::a::{Answer, Denial, Outcome, Request};
use strongroom_protocol::channel::o::{Kind, Order, Reply, Verdict};
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::ErrorLevel;
use strongroom_protocol::types::*;

#[test]
fn a_command_runs_after_a_human_has_seen_all_of_it() {
    with(long(), async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        let Request::Exec { tag, argv, .. } = exec(5, &ECHO) else { unreachable!() };
        let request = Request::Exec {
            tag,
            argv: argv.clone(),
            cwd: Some(path("sub")),
            rule: None,
            timeout_ms: Some(5000),
            credentials: List::empty(),
            reason: Some(Reason::new("please").unwrap()),
            patience_ms: None,
        };
        let answer = ask(&agent, &request).await;
        let Answer::Waiting { tag: 5, approval: id, left_ms } = answer else {
            panic!("{answer:?}")
        };
        assert!((50_000..=60_000).contains(&left_ms), "{left_ms}");
        assert_eq!(launched(&world), 0);

        let list = listed(&operator).await;
        let [pending] = &list[..] else { panic!("{list:?}") };
        assert_eq!(
            (pending.id, pending.kind, &pending.rule),
            (id, Kind::Exec, &Some(named("ask-echo")))
        );
        assert_eq!(pending.head.as_slice(), argv.as_slice());
        assert!(!pending.cut && !pending.approved && !pending.voted);
        assert_eq!((pending.votes, pending.quorum, pending.times), (0, 1, 1));
        let Reply::Status { status } = order(&operator, &Order::Status).await else { panic!() };
        assert_eq!(status.approvals, 1);

        let bytes = shown(&operator, id).await;
        let action = ActionObject::decode(&bytes).unwrap();
        assert_eq!((action.session, action.policy, action.id), ([9; 16], [8; 32], id));
        assert_eq!((action.quorum, &action.rule), (1, &Some(named("ask-echo"))));
        assert_eq!(action.reason, Some(Reason::new("please").unwrap()));
        let Deed::Exec(what) = &action.deed else { panic!("{action:?}") };
        assert_eq!((&what.argv, &what.cwd, what.wall_ms), (&argv, &Some(path("sub")), 5000));
        assert_eq!(what.argv_digest, <[u8; 32]>::from(Sha256::digest(b"echo\0ask\0hello\0")));
        assert_eq!((&what.profile, &what.files), (&named("good"), &files()));

        approve(&operator, id).await;
        runs(&agent).await;
        world
            .until("the outcome", |w| count(w, |r| matches!(r, Record::Outcome { .. })) == 1)
            .await;
        let records = world.records.borrow();
        let records: Vec<_> =
            records.iter().filter(|r| !matches!(r, Record::Order { .. })).collect();
        let [
            Record::Examine { req: looked, approval: a, .. },
            Record::Examined { req: seen, code: None },
            Record::Asked { approval: b, kind: Kind::Exec, digest: d, program, reason, .. },
            Record::Voted { approval: c, digest: e, approver, verdict: Verdict::Approve, .. },
            Record::Settled { approval: f, digest: g, how, approvers },
            Record::Intent { req, action },
            Record::Receipt { .. },
            Record::Outcome { req: over, .. },
        ] = &records[..]
        else {
            panic!("{records:?}")
        };
        assert_eq!((*looked, *seen, *req, *over), (ReqId(1), ReqId(1), ReqId(2), ReqId(2)));
        assert!([a, b, c, f].iter().all(|approval| **approval == id));
        assert!([d, e, g].iter().all(|d| **d == digest(&bytes)));
        assert_eq!((program, reason), (&Some([1; 32]), &Some(Reason::new("please").unwrap())));
        assert_eq!((approver, how.as_str()), (&named("operator"), "approved"));
        assert_eq!(approvers.as_slice(), [named("operator")]);
        assert_eq!(action.approval, Some(id));
    });
}

#[test]
fn one_yes_is_one_command() {
    with(long(), async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        let id = asked(&agent, &exec(1, &ECHO)).await;
        approve(&operator, id).await;
        runs(&agent).await;
        // The same again is a new question, under a new number.
        let again = asked(&agent, &exec(2, &ECHO)).await;
        assert_ne!(again, id);
        let digest = digest(&shown(&operator, again).await);
        let replay = order(&operator, &decision(id, digest, Verdict::Approve)).await;
        assert_eq!(replay, Reply::Refused { code: Code::UnknownApproval });
        assert_eq!(vote(&operator, again, Verdict::Deny).await, decided(0, 1, true));
        assert_eq!(answer(&agent).await.0, refused(2, Code::ApprovalDenied));
        assert_eq!(launched(&world), 1);
    });
}

#[test]
fn a_no_is_told_with_its_reason() {
    with(long(), async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        let id = asked(&agent, &exec(1, &ECHO)).await;
        let (digest, verdict) = (digest(&shown(&operator, id).await), Verdict::Deny);
        let reason = Some(Reason::new("not today").unwrap());
        let order_ = Order::Decide { id, digest, verdict, reason: reason.clone() };
        assert_eq!(order(&operator, &order_).await, decided(0, 1, true));
        let denial = Denial { code: Code::ApprovalDenied, why: reason };
        assert_eq!(answer(&agent).await.0, Answer::Refused { tag: 1, denial });
        settled(&world, "denied").await;
        assert_eq!((launched(&world), listed(&operator).await.len()), (0, 0));
    });
}

#[test]
fn nobody_answers() {
    with(waiting(200), async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        let began = Instant::now();
        let id = asked(&agent, &exec(1, &ECHO)).await;
        assert_eq!(answer(&agent).await.0, refused(1, Code::ApprovalTimedOut));
        assert!(began.elapsed() >= Duration::from_millis(200));
        settled(&world, "timed-out").await;
        let late = order(&operator, &decision(id, [0; 32], Verdict::Approve)).await;
        assert_eq!(late, Reply::Refused { code: Code::UnknownApproval });
        assert_eq!(launched(&world), 0);
    });
}

#[test]
fn patience_ends_and_the_request_goes_on() {
    let mut plan = long();
    plan.errors = ErrorLevel::Detailed;
    plan.rules.iter_mut().find(|r| r.name == named("ask-echo")).unwrap().why = b"why".to_vec();
    with(plan, async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        let id = asked(&agent, &patient(1, &ECHO, 0)).await;
        let why = Some(Reason::new("why").unwrap());
        let denial = Denial { code: Code::NeedsApproval, why };
        assert_eq!(answer(&agent).await.0, Answer::Refused { tag: 1, denial });
        assert!(!listed(&operator).await[0].approved);
        approve(&operator, id).await;
        assert!(listed(&operator).await[0].approved);
        // Another request does not get it; the same one does, on any
        // connection, and once.
        let other = asked(&agent, &patient(2, &["echo", "ask", "else"], 0)).await;
        assert_ne!(other, id);
        assert!(matches!(answer(&agent).await.0, Answer::Refused { .. }));
        let second = world.agent().await;
        second.send(&exec(3, &ECHO), &[]).await.unwrap();
        runs(&second).await;
        assert_eq!(launched(&world), 1);
        let third = asked(&second, &exec(4, &ECHO)).await;
        assert!(third != id && third != other);
    });
}

#[test]
fn a_permission_that_nobody_uses_ends() {
    with(waiting(300), async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        let id = asked(&agent, &patient(1, &ECHO, 0)).await;
        answer(&agent).await;
        approve(&operator, id).await;
        settled(&world, "expired").await;
        assert_ne!(asked(&agent, &exec(2, &ECHO)).await, id);
        assert_eq!(launched(&world), 0);
    });
}

#[test]
fn a_client_that_is_gone_and_one_that_comes_back() {
    with(long(), async |world| {
        let operator = world.operator().await;
        let agent = world.agent().await;
        let id = asked(&agent, &exec(1, &ECHO)).await;
        drop(agent);
        world.until("gone", |_| true).await;
        let agent = world.agent().await;
        // It takes the place of the one that is gone.
        let mut again = ask(&agent, &exec(2, &ECHO)).await;
        while again == refused(2, Code::AlreadyAsked) {
            again = ask(&agent, &exec(2, &ECHO)).await;
        }
        assert!(matches!(again, Answer::Waiting { approval, .. } if approval == id), "{again:?}");
        approve(&operator, id).await;
        runs(&agent).await;

        // Approved while nobody is there.
        let id = asked(&agent, &exec(3, &ECHO)).await;
        drop(agent);
        approve(&operator, id).await;
        let agent = world.agent().await;
        agent.send(&exec(4, &ECHO), &[]).await.unwrap();
        runs(&agent).await;
        assert_eq!(launched(&world), 2);
    });
}

#[test]
fn the_same_request_is_asked_once() {
    with(long(), async |world| {
        let (agent, second) = (world.agent().await, world.agent().await);
        let operator = world.operator().await;
        let id = asked(&agent, &exec(1, &ECHO)).await;
        for (tag, port) in [(2, &agent), (3, &second)] {
            assert_eq!(ask(port, &exec(tag, &ECHO)).await, refused(tag, Code::AlreadyAsked));
        }
        let list = listed(&operator).await;
        assert_eq!((list.len(), list[0].times), (1, 3));
        // With other files it is another request.
        world.found.borrow_mut().program.digest = [2; 32];
        assert_ne!(asked(&second, &exec(4, &ECHO)).await, id);
        world
            .recorded("the refusal", |r| {
                matches!(r, Record::Denied { code: Code::AlreadyAsked, .. })
            })
            .await;
    });
}

/// Decisions for another number, with another digest, from another session:
/// none counts. (Those for 10^5 action objects that differ by a byte are
/// beside the code that counts.)
#[test]
fn a_decision_for_anything_else_runs_nothing() {
    with(long(), async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        let id = asked(&agent, &exec(1, &ECHO)).await;
        let other = asked(&agent, &exec(2, &["echo", "ask", "other"])).await;
        let (bytes, others) = (shown(&operator, id).await, shown(&operator, other).await);
        let own = digest(&bytes);
        let action = ActionObject::decode(&bytes).unwrap();
        let elsewhere = ActionObject { session: [7; 16], ..action.clone() };
        let later = ActionObject { id: other, ..action };
        for (id, digest) in [
            (id, digest(&others)),
            (other, own),
            (ApprovalId(id.0 + 100), own),
            (ApprovalId(0), own),
            (id, digest(&elsewhere.encode().unwrap())),
            (other, digest(&later.encode().unwrap())),
            (id, Sha256::digest(&bytes).into()),
            (id, [0; 32]),
        ] {
            for verdict in [Verdict::Approve, Verdict::Deny] {
                let refused = order(&operator, &decision(id, digest, verdict)).await;
                let Reply::Refused { code } = refused else { panic!("{refused:?}") };
                assert!(matches!(code, Code::OtherBytes | Code::UnknownApproval));
            }
        }
        assert_eq!(count(&world, |r| matches!(r, Record::Voted { .. })), 0);
        assert_eq!(launched(&world), 0);
        approve(&operator, id).await;
        runs(&agent).await;
        assert_eq!(launched(&world), 1, "the control");
    });
}

#[test]
fn what_changed_between_the_yes_and_the_run_is_not_run() {
    type Change = fn(&mut strongroom_protocol::action::Files);
    let changes: [(&str, Change); 7] = [
        ("nothing", |_| ()),
        ("the program", |f| f.program.digest[31] ^= 1),
        ("where it is", |f| f.program.path = path("/usr/bin/other")),
        ("that it is firm", |f| f.program.firm = false),
        ("the interpreter", |f| f.interpreters = List::empty()),
        ("a file", |f| {
            let mut named = f.named.as_slice().to_vec();
            named[0].size += 1;
            f.named = List::new(named).unwrap();
        }),
        ("how many were not looked at", |f| f.unseen += 1),
    ];
    for (name, change) in changes {
        with(long(), async move |world| {
            let (agent, operator) = (world.agent().await, world.operator().await);
            let id = asked(&agent, &exec(1, &ECHO)).await;
            change(&mut world.found.borrow_mut());
            approve(&operator, id).await;
            if name == "nothing" {
                runs(&agent).await;
                assert_eq!(launched(&world), 1, "the control");
                return;
            }
            assert_eq!(answer(&agent).await.0, refused(1, Code::ApprovalChanged), "{name}");
            assert_eq!(launched(&world), 0, "{name}");
            settled(&world, "changed").await;
            world
                .recorded("the outcome", |r| {
                    matches!(
                        r,
                        Record::Outcome { outcome: Outcome::Ended(Code::ApprovalChanged), .. }
                    )
                })
                .await;
            // The yes is used up, also when all is as it was.
            *world.found.borrow_mut() = files();
            assert_ne!(asked(&agent, &exec(2, &ECHO)).await, id);
        });
    }
}

#[test]
fn an_approved_command_is_one_like_any_other() {
    with(long(), async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        let id = asked(&agent, &exec(1, &["hang", "ask"])).await;
        approve(&operator, id).await;
        let (started, _fds) = answer(&agent).await;
        let Answer::Started { id, .. } = started else { panic!("{started:?}") };
        assert_eq!(order(&operator, &Order::Kill { id }).await, Reply::Done);
        assert_eq!(exited(&agent, id).await.outcome, Outcome::Ended(Code::Killed));
    });
}
