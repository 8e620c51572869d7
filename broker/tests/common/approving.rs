//! Requests for approval as a test has them: agents who ask, humans who
//! decide.

use sha2::{Digest as _, Sha256};
use strongroom_protocol::action::DIGEST_PREFIX;
use strongroom_protocol::channel::a::{Answer, Outcome, Request};
use strongroom_protocol::channel::o::{Order, Pending, Reply, Verdict};
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::{Approvals, Plan};
use strongroom_protocol::types::*;

use super::*;

pub const ECHO: [&str; 3] = ["echo", "ask", "hello"];

/// A plan whose requests wait `timeout_ms`, and approvals as long.
pub fn waiting(timeout_ms: u64) -> Plan {
    let approvals =
        Approvals { timeout_ms, permission_ms: timeout_ms, denials: 0, ..Approvals::default() };
    Plan { approvals, ..plan() }
}

pub fn long() -> Plan {
    waiting(60_000)
}

pub fn quorum(quorum: u8, approvers: &[&str]) -> Plan {
    let approvers = approvers.iter().map(|name| named(name)).collect();
    let mut plan = long();
    plan.approvals = Approvals { quorum, approvers, ..plan.approvals };
    plan
}

pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(DIGEST_PREFIX).chain_update(bytes).finalize().into()
}

pub async fn listed(operator: &OperatorPort) -> Vec<Pending> {
    let Reply::Approvals { list, more } = order(operator, &Order::Approvals { after: None }).await
    else {
        panic!()
    };
    assert!(!more);
    list.into_vec()
}

/// All bytes of a request, fetched as a client does.
pub async fn shown(operator: &OperatorPort, id: ApprovalId) -> Vec<u8> {
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

pub fn decision(id: ApprovalId, digest: [u8; 32], verdict: Verdict) -> Order {
    Order::Decide { id, digest, verdict, reason: None }
}

pub async fn vote(operator: &OperatorPort, id: ApprovalId, verdict: Verdict) -> Reply {
    let digest = digest(&shown(operator, id).await);
    order(operator, &decision(id, digest, verdict)).await
}

pub async fn approve(operator: &OperatorPort, id: ApprovalId) {
    let decided = vote(operator, id, Verdict::Approve).await;
    assert_eq!(decided, Reply::Decided { votes: 1, quorum: 1, settled: true });
}

/// Asks, and waits until a human is asked.
pub async fn asked(agent: &AgentPort, request: &Request) -> ApprovalId {
    let answer = ask(agent, request).await;
    let Answer::Waiting { approval, .. } = answer else { panic!("{answer:?}") };
    approval
}

pub fn patient(tag: u32, words: &[&str], patience_ms: u64) -> Request {
    let Request::Exec { argv, cwd, rule, timeout_ms, credentials, reason, .. } = exec(tag, words)
    else {
        unreachable!()
    };
    let patience_ms = Some(patience_ms);
    Request::Exec { tag, argv, cwd, rule, timeout_ms, credentials, reason, patience_ms }
}

pub fn refused(tag: u32, code: Code) -> Answer {
    Answer::Refused { tag, denial: code.into() }
}

/// Takes the rest of a command's answers.
pub async fn runs(agent: &AgentPort) {
    let (started, _fds) = answer(agent).await;
    let Answer::Started { id, .. } = started else { panic!("{started:?}") };
    assert_eq!(exited(agent, id).await.outcome, Outcome::Exited(0));
}

pub fn launched(world: &World) -> usize {
    world.launches.borrow().len()
}

pub fn count(world: &World, is: impl Fn(&Record) -> bool) -> usize {
    world.records.borrow().iter().filter(|r| is(r)).count()
}

pub async fn settled(world: &World, how: &str) {
    world
        .recorded(how, |r| matches!(r, Record::Settled { how: is, .. } if *is == named(how)))
        .await;
}

pub fn decided(votes: u8, quorum: u8, settled: bool) -> Reply {
    Reply::Decided { votes, quorum, settled }
}
