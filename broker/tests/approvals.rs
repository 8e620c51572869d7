//! What runs only after a human has said yes, and everything that is not one.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::time::{Duration, Instant};

use common::*;
use sha2::{Digest as _, Sha256};
use strongroom_protocol::action::{ActionObject, DIGEST_PREFIX, Deed};
use strongroom_protocol::channel::a::{Answer, Denial, Outcome, Request, Values};
use strongroom_protocol::channel::o::{Kind, Order, Pending, Reply, Verdict};
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::channel::s::Command;
use strongroom_protocol::channel::w::Down;
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::{Approvals, Credential, ErrorLevel, Leases, Plain, Plan};
use strongroom_protocol::types::*;

const ECHO: [&str; 3] = ["echo", "ask", "hello"];

/// A plan whose requests wait `timeout_ms`, and approvals as long.
fn waiting(timeout_ms: u64) -> Plan {
    let approvals =
        Approvals { timeout_ms, permission_ms: timeout_ms, denials: 0, ..Approvals::default() };
    Plan { approvals, ..plan() }
}

fn long() -> Plan {
    waiting(60_000)
}

fn quorum(quorum: u8, approvers: &[&str]) -> Plan {
    let approvers = approvers.iter().map(|name| named(name)).collect();
    let mut plan = long();
    plan.approvals = Approvals { quorum, approvers, ..plan.approvals };
    plan
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(DIGEST_PREFIX).chain_update(bytes).finalize().into()
}

async fn listed(operator: &OperatorPort) -> Vec<Pending> {
    let Reply::Approvals { list, more } = order(operator, &Order::Approvals { after: None }).await
    else {
        panic!()
    };
    assert!(!more);
    list.into_vec()
}

/// All bytes of a request, fetched as a client does.
async fn shown(operator: &OperatorPort, id: ApprovalId) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let from = u32::try_from(all.len()).unwrap();
        let Reply::Shown { bytes, last } = order(operator, &Order::Show { id, from }).await else {
            panic!()
        };
        all.extend_from_slice(bytes.as_bytes());
        if last {
            return all;
        }
    }
}

fn decision(id: ApprovalId, digest: [u8; 32], verdict: Verdict) -> Order {
    Order::Decide { id, digest, verdict, reason: None }
}

async fn vote(operator: &OperatorPort, id: ApprovalId, verdict: Verdict) -> Reply {
    let digest = digest(&shown(operator, id).await);
    order(operator, &decision(id, digest, verdict)).await
}

async fn approve(operator: &OperatorPort, id: ApprovalId) {
    let decided = vote(operator, id, Verdict::Approve).await;
    assert_eq!(decided, Reply::Decided { votes: 1, quorum: 1, settled: true });
}

/// Asks, and waits until a human is asked.
async fn asked(agent: &AgentPort, request: &Request) -> ApprovalId {
    let answer = ask(agent, request).await;
    let Answer::Waiting { approval, .. } = answer else { panic!("{answer:?}") };
    approval
}

fn patient(tag: u32, words: &[&str], patience_ms: u64) -> Request {
    let Request::Exec { argv, cwd, rule, timeout_ms, credentials, reason, .. } = exec(tag, words)
    else {
        unreachable!()
    };
    let patience_ms = Some(patience_ms);
    Request::Exec { tag, argv, cwd, rule, timeout_ms, credentials, reason, patience_ms }
}

fn refused(tag: u32, code: Code) -> Answer {
    Answer::Refused { tag, denial: code.into() }
}

/// Takes the rest of a command's answers.
async fn runs(agent: &AgentPort) {
    let (started, _fds) = answer(agent).await;
    let Answer::Started { id, .. } = started else { panic!("{started:?}") };
    assert_eq!(exited(agent, id).await.outcome, Outcome::Exited(0));
}

fn launched(world: &World) -> usize {
    world.launches.borrow().len()
}

fn count(world: &World, is: impl Fn(&Record) -> bool) -> usize {
    world.records.borrow().iter().filter(|r| is(r)).count()
}

async fn settled(world: &World, how: &str) {
    world
        .recorded(how, |r| matches!(r, Record::Settled { how: is, .. } if *is == named(how)))
        .await;
}

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

fn decided(votes: u8, quorum: u8, settled: bool) -> Reply {
    Reply::Decided { votes, quorum, settled }
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
