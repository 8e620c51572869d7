//! Who decides, how they hear of it, and what else they are asked.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::time::{Duration, Instant};

use common::approving::*;
use common::*;
use sha2::{Digest as _, Sha256};
use strongroom_protocol::action::{ActionObject, Deed};
use strongroom_protocol::channel::a::{Answer, Request, Values};
use strongroom_protocol::channel::o::{Order, Reply, Verdict};
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::channel::s::Command;
use strongroom_protocol::channel::w::Down;
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::{Credential, Leases, Plain};
use strongroom_protocol::types::*;

#[test]
fn two_of_three_must_agree() {
    with(quorum(2, &["alice", "bob", "carol"]), async |world| {
        let agent = world.agent().await;
        let (alice, bob) = (world.approver("alice").await, world.approver("bob").await);
        let operator = world.operator().await;
        let id = asked(&agent, &exec(1, &ECHO)).await;
        // Whoever runs the session is none of them here.
        let no = Reply::Refused { code: Code::ApproverOnly };
        assert_eq!(vote(&operator, id, Verdict::Approve).await, no);
        assert_eq!(vote(&operator, id, Verdict::Deny).await, no);
        assert_eq!(vote(&alice, id, Verdict::Approve).await, decided(1, 2, false));
        let twice = vote(&alice, id, Verdict::Approve).await;
        assert_eq!(twice, Reply::Refused { code: Code::AlreadyVoted });
        let on_another = world.approver("alice").await;
        let twice = vote(&on_another, id, Verdict::Approve).await;
        assert_eq!(twice, Reply::Refused { code: Code::AlreadyVoted });
        assert!(listed(&alice).await[0].voted && !listed(&bob).await[0].voted);
        assert_eq!(launched(&world), 0);
        assert_eq!(vote(&bob, id, Verdict::Approve).await, decided(2, 2, true));
        runs(&agent).await;
        world
            .recorded("both", |r| {
                matches!(r, Record::Settled { approvers, .. }
                    if approvers.as_slice() == [named("alice"), named("bob")])
            })
            .await;

        // One no is enough.
        let id = asked(&agent, &exec(2, &ECHO)).await;
        vote(&alice, id, Verdict::Approve).await;
        assert_eq!(vote(&bob, id, Verdict::Deny).await, decided(1, 2, true));
        assert_eq!(answer(&agent).await.0, refused(2, Code::ApprovalDenied));
        assert_eq!(launched(&world), 1);
    });
}

#[test]
fn at_the_same_moment() {
    with(quorum(2, &["alice", "bob"]), async |world| {
        let agent = world.agent().await;
        let (one, two) = (world.approver("alice").await, world.approver("alice").await);
        let id = asked(&agent, &exec(1, &ECHO)).await;
        let digest = digest(&shown(&one, id).await);
        let yes = decision(id, digest, Verdict::Approve);
        let (a, b) = tokio::join!(order(&one, &yes), order(&two, &yes));
        let again = Reply::Refused { code: Code::AlreadyVoted };
        assert!([(&a, &b), (&b, &a)].contains(&(&decided(1, 2, false), &again)), "{a:?} {b:?}");
        let voted = |r: &Record| matches!(r, Record::Voted { .. });
        assert_eq!((count(&world, voted), launched(&world)), (1, 0));
    });
}

#[test]
fn an_approver_decides_and_ends_and_no_more() {
    with(quorum(1, &["operator", "alice"]), async |world| {
        let alice = world.approver("alice").await;
        let no = Reply::Refused { code: Code::ApproverOnly };
        let name = credential("TOKEN");
        for forbidden in [
            Order::Kill { id: ReqId(1) },
            Order::Shutdown,
            Order::Revoke { name: name.clone() },
            Order::Delete { name: name.clone() },
            Order::Credentials { after: None },
            Order::Requests,
            Order::Dismiss { request: 1 },
        ] {
            assert_eq!(order(&alice, &forbidden).await, no, "{forbidden:?}");
        }
        let put = Order::Put { name: name.clone(), size: 1, force: true };
        alice.send(&put, &[]).await.unwrap();
        let value = Order::Value { bytes: SecretBytes::new(b"x".to_vec()).unwrap() };
        alice.send(&value, &[]).await.unwrap();
        assert_eq!(order(&alice, &Order::Keep).await, no);
        assert!(matches!(order(&alice, &Order::Status).await, Reply::Status { .. }));
        let operator = world.operator().await;
        let Reply::Credentials { list, .. } =
            order(&operator, &Order::Credentials { after: None }).await
        else {
            panic!()
        };
        assert!(list.as_slice().is_empty());
        assert_eq!(order(&alice, &Order::KillAll).await, Reply::Done);
        let by = |who: &str, what: &str| {
            let (who, what) = (named(who), named(what));
            move |r: &Record| matches!(r, Record::Order { order, by: Some(by), .. } if *order == what && *by == who)
        };
        world.recorded("the refusals", by("alice", "refused")).await;
        world.recorded("the kill switch", by("alice", "kill-all")).await;
        assert!(world.commands.borrow().contains(&Command::Shutdown { now: true }));
        assert!(!world.commands.borrow().contains(&Command::Shutdown { now: false }));
    });
}

#[test]
fn who_watches_hears_of_every_change() {
    with(long(), async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        let watch = async |seen| {
            let Reply::News { state } = order(&operator, &Order::Await { seen }).await else {
                panic!()
            };
            state
        };
        let began = Instant::now();
        let mut state = watch(0).await;
        let mut changed = async |what: &str| {
            let now = watch(state).await;
            assert_ne!(now, state, "{what}");
            state = now;
        };
        let id = asked(&agent, &exec(1, &ECHO)).await;
        changed("asked").await;
        let second = world.operator().await;
        vote(&second, id, Verdict::Deny).await;
        changed("denied").await;
        let question = Reason::new("?").unwrap();
        let (news, ()) = tokio::join!(watch(state), async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let wish = Request::AskApproval { tag: 2, question, patience_ms: None };
            agent.send(&wish, &[]).await.unwrap();
        });
        assert!(news != state && began.elapsed() < Duration::from_secs(10));
        // Who says something while it waits is answered both.
        operator.send(&Order::Await { seen: news }, &[]).await.unwrap();
        let first = order(&operator, &Order::Approvals { after: None }).await;
        assert_eq!(first, Reply::News { state: news });
        let next = operator.receive().await.unwrap().unwrap().message;
        assert!(matches!(next, Reply::Approvals { list, .. } if list.as_slice().len() == 1));
        // And who leaves frees its place at once.
        operator.send(&Order::Await { seen: news }, &[]).await.unwrap();
        operator.close();
        assert!(operator.receive().await.unwrap().is_none());
    });
}

#[test]
fn a_question() {
    with(long(), async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        let question = Reason::new("may I go on?").unwrap();
        let wish =
            |tag| Request::AskApproval { tag, question: question.clone(), patience_ms: None };
        let id = asked(&agent, &wish(1)).await;
        let action = ActionObject::decode(&shown(&operator, id).await).unwrap();
        assert_eq!((&action.deed, &action.rule), (&Deed::Question(question.clone()), &None));
        assert_eq!(ask(&agent, &wish(2)).await, refused(2, Code::AlreadyAsked));
        approve(&operator, id).await;
        assert_eq!(answer(&agent).await.0, Answer::Approved { tag: 1 });
        let id = asked(&agent, &wish(3)).await;
        vote(&operator, id, Verdict::Deny).await;
        assert_eq!(answer(&agent).await.0, refused(3, Code::ApprovalDenied));
        assert_eq!(*world.commands.borrow(), [Command::Ready]);
    });
}

#[test]
fn an_agent_deletes_a_credential() {
    let values =
        credentials(&[("TOKEN", b"c4nary-9fQ2x7LmZk31"), ("KEPT", b"0ther-Vb83nRt5wYp64")]);
    with_credentials(long(), values, async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        let wish = |tag, name| Request::Delete {
            tag,
            name: credential(name),
            reason: None,
            patience_ms: None,
        };
        // Whether there is such a credential shows only after a human's yes.
        for (tag, name, answers) in [
            (1, "TOKEN", Answer::Approved { tag: 1 }),
            (2, "GONE", refused(2, Code::UnknownCredential)),
        ] {
            let id = asked(&agent, &wish(tag, name)).await;
            let action = ActionObject::decode(&shown(&operator, id).await).unwrap();
            assert_eq!(action.deed, Deed::Delete(credential(name)));
            approve(&operator, id).await;
            assert_eq!(answer(&agent).await.0, answers);
        }
        let id = asked(&agent, &wish(3, "KEPT")).await;
        vote(&operator, id, Verdict::Deny).await;
        assert_eq!(answer(&agent).await.0, refused(3, Code::ApprovalDenied));
        let Reply::Credentials { list, .. } =
            order(&operator, &Order::Credentials { after: None }).await
        else {
            panic!()
        };
        let names: Vec<_> = list.as_slice().iter().map(|held| held.name.clone()).collect();
        assert_eq!(names, [credential("KEPT")]);
        world
            .recorded("the deletion", |r| {
                matches!(r, Record::Credential { verb, connection: Some(_), approval: Some(_), code: None, .. }
                    if *verb == named("delete"))
            })
            .await;
    });
}

#[test]
fn real_values_in_the_workspace() {
    let mut plan = long();
    plan.credentials =
        vec![Credential { name: credential("TOKEN"), env: false, file: true, plain: Plain::Ask }];
    plan.leases = Some(Leases { folder: path("/leases"), writer: GOOD });
    let values = credentials(&[("TOKEN", b"c4nary-9fQ2x7LmZk31")]);
    with_credentials(plan, values, async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        let text = b"A=${credentials.TOKEN}\n";
        let write = async |tag| {
            let size = u32::try_from(text.len()).unwrap();
            let (path, mode, values) = (path("conf/.env"), Some(0o640), Values::Plain);
            let wish = Request::Write {
                tag,
                path,
                mode,
                values,
                size,
                reason: Some(Reason::new("for a test").unwrap()),
                patience_ms: None,
            };
            agent.send(&wish, &[]).await.unwrap();
            let bytes = Piece::new(&text[..]).unwrap();
            agent.send(&Request::Content { bytes }, &[]).await.unwrap();
            asked(&agent, &Request::Commit).await
        };
        let id = write(1).await;
        let action = ActionObject::decode(&shown(&operator, id).await).unwrap();
        let Deed::Plain(file) = &action.deed else { panic!("{action:?}") };
        assert_eq!((&file.path, file.mode, file.size), (&path("conf/.env"), Some(0o640), 23));
        assert_eq!(file.digest, <[u8; 32]>::from(Sha256::digest(text)));
        assert_eq!(
            (file.head.as_bytes(), file.credentials.as_slice()),
            (&text[..], &[credential("TOKEN")][..])
        );
        assert_eq!(action.reason, Some(Reason::new("for a test").unwrap()));
        assert!(world.told.borrow().is_empty());
        vote(&operator, id, Verdict::Deny).await;
        assert_eq!(answer(&agent).await.0, refused(1, Code::ApprovalDenied));
        assert!(world.told.borrow().is_empty());

        let id = write(2).await;
        approve(&operator, id).await;
        let written = answer(&agent).await.0;
        assert!(matches!(written, Answer::Written { tag: 2, .. }), "{written:?}");
        let told: Vec<Down> = world.told.borrow_mut().drain(..).collect();
        let [Down::Write { .. }, Down::WriteBytes { bytes }, Down::WriteDone] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(bytes.as_bytes(), b"A=c4nary-9fQ2x7LmZk31\n");
        world
            .recorded(
                "the approval",
                |r| matches!(r, Record::Write { write, .. } if write.approval == Some(id)),
            )
            .await;

        // Revoked meanwhile.
        let id = write(3).await;
        order(&operator, &Order::Revoke { name: credential("TOKEN") }).await;
        approve(&operator, id).await;
        let misplaced = answer(&agent).await.0;
        assert!(
            matches!(misplaced, Answer::Misplaced { tag: 3, code: Code::CredentialRefused, .. }),
            "{misplaced:?}"
        );
        assert!(world.told.borrow().is_empty());
    });
}

/// The longest request there can be is shown whole.
#[test]
fn long_requests_are_shown_whole() {
    with(long(), async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        let long = "y".repeat(59_000);
        let id = asked(&agent, &exec(1, &["echo", "ask", &long])).await;
        let bytes = shown(&operator, id).await;
        assert!(bytes.len() > 59_000);
        let action = ActionObject::decode(&bytes).unwrap();
        let Deed::Exec(what) = &action.deed else { panic!() };
        assert_eq!(what.argv, argv(&["echo", "ask", &long]));
        let list = listed(&operator).await;
        assert!(list[0].cut && list[0].head.as_slice().len() == 3);
        for (id, from) in [(ApprovalId(9), 0), (ApprovalId(0), 1)] {
            let unknown = order(&operator, &Order::Show { id, from }).await;
            assert_eq!(unknown, Reply::Refused { code: Code::UnknownApproval });
        }
        let beyond = order(&operator, &Order::Show { id, from: u32::MAX }).await;
        assert_eq!(beyond, Reply::Shown { bytes: Piece::new("").unwrap(), last: true });
        approve(&operator, id).await;
        runs(&agent).await;
    });
}
