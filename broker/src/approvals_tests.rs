//! The clock of these tests is a number of milliseconds.

use strongroom_protocol::action::{ActionObject, Deed};

use super::*;

struct Test {
    approvals: Approvals,
    zero: Instant,
}

const TIMEOUT: u64 = 1000;
const PERMISSION: u64 = 500;
const COOL_DOWN: u64 = 300;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn rules(quorum: u8) -> plan::Approvals {
    plan::Approvals {
        approvers: ["alice", "bob", "carol"].map(name).into(),
        quorum,
        timeout_ms: TIMEOUT,
        permission_ms: PERMISSION,
        pending: 6,
        denials: 3,
        cool_down_ms: COOL_DOWN,
    }
}

fn object(id: ApprovalId, connection: u64, question: &str) -> ActionObject {
    ActionObject {
        session: [1; 16],
        policy: [2; 32],
        id,
        connection,
        rule: None,
        why: None,
        quorum: 1,
        deed: Deed::Question(Reason::new(question).unwrap()),
        reason: None,
    }
}

impl Test {
    fn new(quorum: u8) -> Self {
        Self { approvals: Approvals::new(rules(quorum)), zero: Instant::now() }
    }

    fn at(&self, ms: u64) -> Instant {
        self.zero + Duration::from_millis(ms)
    }

    fn ask(&mut self, connection: u64, question: &str, ms: u64) -> Result<Asked, Code> {
        let id = self.approvals.number();
        let petition = Petition::new(&object(id, connection, question)).unwrap();
        self.approvals.ask(petition, self.at(ms))
    }

    /// A request that humans see.
    fn waiting(&mut self, question: &str, ms: u64) -> Owner {
        let Ok(Asked::New(owner)) = self.ask(7, question, ms) else { panic!("not new") };
        self.approvals.open(owner.id, self.at(ms));
        owner
    }

    fn digest(&self, id: ApprovalId) -> [u8; 32] {
        crate::petition::digest(self.approvals.show(id).unwrap_or_default())
    }

    fn vote(
        &mut self,
        id: ApprovalId,
        who: &str,
        verdict: Verdict,
        ms: u64,
    ) -> Result<Counted, Code> {
        let (digest, approver) = (self.digest(id), name(who));
        let ballot = Ballot { id, digest: &digest, approver: &approver, verdict };
        self.approvals.vote(&ballot, None, self.at(ms))
    }

    /// Puts what is settled on record, so to speak.
    fn record(&mut self, settled: &Settled, ms: u64) {
        let now = self.at(ms);
        match settled.how {
            How::Approved => self.approvals.permit(settled.id, now),
            _ => self.approvals.close(settled.id, settled.how.word(), now),
        }
    }

    fn decide(&mut self, owner: Owner, verdict: Verdict, ms: u64) {
        let counted = self.vote(owner.id, "alice", verdict, ms).unwrap();
        self.record(&counted.settled.unwrap(), ms);
    }

    fn due(&mut self, ms: u64) -> Vec<How> {
        let due = self.approvals.due(self.at(ms));
        due.iter().for_each(|settled| self.record(settled, ms));
        due.into_iter().map(|settled| settled.how).collect()
    }
}

#[test]
fn used_once() {
    let mut test = Test::new(1);
    let owner = test.waiting("a", 0);
    assert_eq!(test.approvals.look(owner), None);
    assert_eq!(test.approvals.take(owner, test.at(1)), None, "nobody has said yes");
    let digest = test.digest(owner.id);
    let counted = test.vote(owner.id, "bob", Verdict::Approve, 2).unwrap();
    assert_eq!(test.approvals.take(owner, test.at(2)), None, "not on record yet");
    assert_eq!(test.approvals.look(owner), None);
    test.record(&counted.settled.unwrap(), 3);
    assert_eq!(test.approvals.look(owner), Some(Word::Approved));
    let permit = Permit { id: owner.id, connection: 7, digest };
    assert_eq!(test.approvals.take(owner, test.at(4)), Some(permit));
    assert_eq!(test.approvals.take(owner, test.at(4)), None);
    assert!(matches!(test.ask(7, "a", 5), Ok(Asked::New(_))), "a new question");
}

#[test]
fn humans_see_it_only_while_there_is_something_to_see() {
    let mut test = Test::new(1);
    let who = name("alice");
    let Ok(Asked::New(owner)) = test.ask(7, "a", 0) else { panic!() };
    let shown = |test: &Test| {
        let (list, more) = test.approvals.list(None, &who, test.at(10));
        assert!(!more);
        (test.approvals.show(owner.id).is_some(), list.into_vec())
    };
    assert_eq!(shown(&test), (false, vec![]), "not on record yet");
    assert_eq!(test.vote(owner.id, "alice", Verdict::Approve, 1), Err(Code::UnknownApproval));
    test.approvals.open(owner.id, test.at(0));
    let (there, list) = shown(&test);
    let [pending] = &list[..] else { panic!("{list:?}") };
    assert!(there && !pending.approved && !pending.voted);
    assert_eq!((pending.age_ms, pending.left_ms, pending.times), (10, TIMEOUT - 10, 1));
    test.decide(owner, Verdict::Approve, 5);
    let (_, list) = shown(&test);
    assert!(list[0].approved && list[0].voted);
    assert_eq!(list[0].left_ms, PERMISSION - 5);
    test.approvals.take(owner, test.at(10)).unwrap();
    assert_eq!(shown(&test), (false, vec![]));
}

#[test]
fn a_page_of_them_in_order() {
    let mut test = Test::new(1);
    let ids: Vec<_> = ["a", "b", "c"].map(|q| test.waiting(q, 0).id).into();
    let (list, more) = test.approvals.list(Some(ids[0]), &name("alice"), test.at(0));
    let listed: Vec<_> = list.as_slice().iter().map(|p| p.id).collect();
    assert_eq!((listed, more), (ids[1..].to_vec(), false));
}

#[test]
fn two_of_three() {
    let mut test = Test::new(2);
    let owner = test.waiting("a", 0);
    let one = test.vote(owner.id, "alice", Verdict::Approve, 1).unwrap();
    assert_eq!(one, Counted { votes: 1, settled: None });
    assert_eq!(test.vote(owner.id, "alice", Verdict::Approve, 2), Err(Code::AlreadyVoted));
    assert_eq!(test.vote(owner.id, "mallory", Verdict::Approve, 2), Err(Code::ApproverOnly));
    assert_eq!(test.vote(owner.id, "operator", Verdict::Approve, 2), Err(Code::ApproverOnly));
    assert_eq!(test.approvals.look(owner), None);
    let two = test.vote(owner.id, "carol", Verdict::Approve, 3).unwrap();
    let settled = two.settled.unwrap();
    assert_eq!(two.votes, 2);
    assert_eq!(settled.approvers, [name("alice"), name("carol")]);
    assert_eq!(test.vote(owner.id, "bob", Verdict::Deny, 4), Err(Code::UnknownApproval));
    test.record(&settled, 5);
    assert_eq!(test.approvals.look(owner), Some(Word::Approved));
}

#[test]
fn one_no_is_enough_even_from_who_said_yes() {
    for who in ["alice", "bob"] {
        let mut test = Test::new(2);
        let owner = test.waiting("a", 0);
        test.vote(owner.id, "alice", Verdict::Approve, 1).unwrap();
        let counted = test.vote(owner.id, who, Verdict::Deny, 2).unwrap();
        test.record(&counted.settled.unwrap(), 2);
        assert_eq!(test.approvals.look(owner), Some(Word::Denied(None)));
        assert_eq!(test.approvals.take(owner, test.at(3)), None);
        test.approvals.leave(owner);
        assert!(test.approvals.entries.is_empty());
    }
}

#[test]
fn a_decision_is_for_its_bytes_alone() {
    let mut test = Test::new(1);
    let (one, two) = (test.waiting("a", 0), test.waiting("b", 0));
    let (alice, digests) = (name("alice"), [one, two].map(|owner| test.digest(owner.id)));
    let now = test.at(1);
    let mut vote = |id, digest: &[u8; 32]| {
        let ballot = Ballot { id, digest, approver: &alice, verdict: Verdict::Approve };
        test.approvals.vote(&ballot, None, now).map(drop)
    };
    assert_eq!(vote(one.id, &digests[1]), Err(Code::OtherBytes), "ids swapped");
    assert_eq!(vote(two.id, &digests[0]), Err(Code::OtherBytes));
    assert_eq!(vote(ApprovalId(99), &digests[0]), Err(Code::UnknownApproval));
    for bit in 0..256 {
        let mut other = digests[0];
        other[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(vote(one.id, &other), Err(Code::OtherBytes));
    }
    assert_eq!(vote(one.id, &digests[0]), Ok(()), "the control");
}

/// An action object of which one byte is changed, missing, added or moved.
#[test]
fn a_hundred_thousand_other_action_objects() {
    let mut test = Test::new(1);
    let owner = test.waiting("may I do this and that?", 0);
    let bytes = test.approvals.show(owner.id).unwrap().to_vec();
    let (alice, now) = (name("alice"), test.at(1));
    let mut vote = |bytes: &[u8]| {
        let digest = crate::petition::digest(bytes);
        let approver = &alice;
        let ballot = Ballot { id: owner.id, digest: &digest, approver, verdict: Verdict::Approve };
        test.approvals.vote(&ballot, None, now).map(drop)
    };
    let mut seed = 0x0dd_ba11_u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    let mut tried = 0;
    while tried < 100_000 {
        let mut mutant = bytes.clone();
        let (at, to) = (next(bytes.len()), next(bytes.len()));
        match next(4) {
            0 => mutant[at] ^= u8::try_from(1 + next(255)).unwrap(),
            1 => drop(mutant.remove(at)),
            2 => mutant.insert(at, u8::try_from(next(256)).unwrap()),
            _ => mutant.swap(at, to),
        }
        if mutant != bytes {
            assert_eq!(vote(&mutant), Err(Code::OtherBytes));
            tried += 1;
        }
    }
    assert_eq!(vote(&bytes), Ok(()), "the control");
}

#[test]
fn no_answer_is_a_denial() {
    let mut test = Test::new(1);
    let owner = test.waiting("a", 0);
    assert_eq!(test.approvals.next(), Some(test.at(TIMEOUT)));
    assert_eq!(test.due(TIMEOUT - 1), []);
    let late = test.vote(owner.id, "alice", Verdict::Approve, TIMEOUT);
    assert_eq!(late, Err(Code::UnknownApproval), "whoever looks at the clock first");
    assert_eq!(test.due(TIMEOUT), [How::TimedOut]);
    assert_eq!(test.approvals.look(owner), Some(Word::TimedOut));
    assert_eq!(test.approvals.next(), None);
    test.approvals.leave(owner);
    assert!(test.approvals.entries.is_empty());
}

#[test]
fn a_permission_ends() {
    let mut test = Test::new(1);
    let owner = test.waiting("a", 0);
    test.approvals.leave(owner);
    test.decide(owner, Verdict::Approve, 10);
    let Ok(Asked::Joined(again)) = test.ask(8, "a", 20) else { panic!() };
    assert_eq!(test.approvals.look(again), Some(Word::Approved));
    assert_eq!(test.approvals.look(owner), Some(Word::TimedOut), "not its any more");
    assert_eq!(test.approvals.take(owner, test.at(20)), None);
    assert_eq!(test.approvals.take(again, test.at(10 + PERMISSION)), None, "too late");
    test.approvals.leave(again);
    assert_eq!(test.due(10 + PERMISSION), [How::Expired]);
    assert!(test.approvals.entries.is_empty());

    // Not yet swept, but too old: not joined.
    let owner = test.waiting("a", 1000);
    test.approvals.leave(owner);
    test.decide(owner, Verdict::Approve, 1000);
    assert!(matches!(test.ask(8, "a", 1000 + PERMISSION), Ok(Asked::New(_))));
}

#[test]
fn the_same_request_is_one_request() {
    let mut test = Test::new(1);
    let owner = test.waiting("a", 0);
    assert_eq!(test.ask(7, "a", 1), Err(Code::AlreadyAsked));
    assert_eq!(test.ask(8, "a", 2), Err(Code::AlreadyAsked));
    assert!(matches!(test.ask(8, "a ", 2), Ok(Asked::New(_))), "another one");
    test.approvals.leave(owner);
    let Ok(Asked::Joined(again)) = test.ask(8, "a", 3) else { panic!() };
    assert_eq!(again.id, owner.id);
    // Only the owner of the day leaves.
    test.approvals.leave(owner);
    assert_eq!(test.ask(9, "a", 4), Err(Code::AlreadyAsked));
    let (list, _) = test.approvals.list(None, &name("alice"), test.at(5));
    assert_eq!(list.as_slice()[0].times, 5);
    test.decide(again, Verdict::Approve, 6);
    let permit = test.approvals.take(again, test.at(7)).unwrap();
    assert_eq!((permit.id, permit.connection), (owner.id, 7), "as it was shown");
}

#[test]
fn so_many_at_once() {
    let mut test = Test::new(1);
    for question in ["a", "b", "c", "d"] {
        test.waiting(question, 0);
    }
    assert_eq!(test.ask(7, "e", 0), Err(Code::TooManyAsked), "four of one connection");
    assert_eq!(test.approvals.may_ask(7, test.at(0)), Err(Code::TooManyAsked));
    assert!(test.ask(8, "e", 0).is_ok());
    assert!(test.ask(8, "f", 0).is_ok());
    assert_eq!(test.ask(9, "g", 0), Err(Code::TooManyAsked), "six of all");
    // What nobody waits for still counts, and can still be joined.
    let owner = Owner { id: ApprovalId(1), number: 1 };
    test.approvals.leave(owner);
    assert_eq!(test.ask(9, "g", 0), Err(Code::TooManyAsked));
    assert_eq!(test.approvals.may_ask(9, test.at(0)), Ok(()));
    assert!(matches!(test.ask(9, "a", 0), Ok(Asked::Joined(_))));
    assert_eq!(test.due(TIMEOUT).len(), 4);
}

#[test]
fn denials_in_a_row_cool_down() {
    let mut test = Test::new(1);
    let ended = |test: &mut Test, ms, end: &str| {
        let owner = test.waiting(&format!("{ms}"), ms);
        match end {
            "no" => test.decide(owner, Verdict::Deny, ms),
            "yes" => test.decide(owner, Verdict::Approve, ms),
            "late" => assert_eq!(test.due(ms + TIMEOUT), [How::TimedOut]),
            "alone" => {
                test.approvals.leave(owner);
                assert_eq!(test.due(ms + TIMEOUT), [How::TimedOut]);
            }
            _ => panic!(),
        }
        test.approvals.leave(owner);
        let _ = test.due(ms + TIMEOUT + PERMISSION);
    };
    // An approval begins anew, and what nobody waited for is nobody's denial.
    for (at, end) in [(0, "no"), (1, "late"), (2, "yes"), (3, "no"), (4, "no"), (5, "alone")] {
        ended(&mut test, at * 10_000, end);
    }
    assert_eq!(test.approvals.may_ask(7, test.at(60_000)), Ok(()));
    ended(&mut test, 60_000, "late");
    let from = 60_000 + TIMEOUT;
    assert_eq!(test.ask(7, "a", from + COOL_DOWN - 1), Err(Code::CoolingDown));
    assert_eq!(test.approvals.may_ask(7, test.at(from)), Err(Code::CoolingDown));
    let owner = test.waiting("a", from + COOL_DOWN);
    test.decide(owner, Verdict::Deny, from + COOL_DOWN);
    test.approvals.leave(owner);
    let again = from + COOL_DOWN + 1;
    assert_eq!(test.ask(7, "b", again), Err(Code::CoolingDown), "the row goes on");
    let owner = test.waiting("b", 100_000);
    test.decide(owner, Verdict::Approve, 100_000);
    let owner = test.waiting("c", 100_000);
    test.decide(owner, Verdict::Deny, 100_000);
    assert!(test.ask(8, "d", 100_000).is_ok());
}

#[test]
fn the_end_ends_all() {
    let mut test = Test::new(1);
    let (waits, approved) = (test.waiting("a", 0), test.waiting("b", 0));
    let Ok(Asked::New(new)) = test.ask(7, "c", 0) else { panic!() };
    test.decide(approved, Verdict::Approve, 0);
    let before = test.approvals.state();
    test.approvals.end();
    assert_ne!(test.approvals.state(), before, "who sleeps is woken");
    assert_eq!(test.approvals.take(approved, test.at(0)), None);
    assert_eq!(test.ask(7, "d", 0), Err(Code::ShuttingDown));
    assert_eq!(test.approvals.may_ask(7, test.at(0)), Err(Code::ShuttingDown));
    assert_eq!(test.vote(waits.id, "bob", Verdict::Approve, 0), Err(Code::UnknownApproval));
    assert_eq!(test.due(0), [How::Ended, How::Ended]);
    test.approvals.open(new.id, test.at(0));
    assert_eq!(test.due(0), [How::Ended]);
    for owner in [waits, approved, new] {
        assert_eq!(test.approvals.look(owner), Some(Word::Ended));
    }
}

#[test]
fn what_is_not_on_record_is_not() {
    let mut test = Test::new(1);
    let Ok(Asked::New(owner)) = test.ask(7, "a", 0) else { panic!() };
    test.approvals.forget(owner.id);
    assert_eq!(test.approvals.look(owner), Some(Word::TimedOut));
    let owner = test.waiting("a", 0);
    test.approvals.forget(owner.id);
    assert_eq!(test.approvals.look(owner), None, "it is on record by now");
    test.vote(owner.id, "alice", Verdict::Approve, 0).unwrap();
    test.approvals.close(owner.id, Word::Unrecorded, test.at(0));
    assert_eq!(test.approvals.look(owner), Some(Word::Unrecorded));
    assert_eq!(test.approvals.take(owner, test.at(0)), None);
}

/// Whatever happens in whatever order: nothing is used twice, nothing is used
/// that too few have approved or that is too old, and everything ends.
#[test]
fn any_order_of_events() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let (mut used, mut refused) = (0, 0);
    for _ in 0..300 {
        let mut test = Test::new(2);
        let mut owners: Vec<Owner> = Vec::new();
        let mut votes: BTreeMap<ApprovalId, Vec<&str>> = BTreeMap::new();
        let mut approved: BTreeMap<ApprovalId, u64> = BTreeMap::new();
        let mut settled: Vec<Settled> = Vec::new();
        let mut spent: Vec<ApprovalId> = Vec::new();
        let mut clock = 0;
        for _ in 0..200 {
            clock += next(60);
            let owner = owners.iter().rev().nth(usize::try_from(next(4)).unwrap()).copied();
            match next(7) {
                0 => {
                    let question = ["a", "b", "c"][usize::try_from(next(3)).unwrap()];
                    match test.ask(next(3), question, clock) {
                        Ok(Asked::New(owner)) => {
                            test.approvals.open(owner.id, test.at(clock));
                            owners.push(owner);
                        }
                        Ok(Asked::Joined(owner)) => owners.push(owner),
                        Err(_) => refused += 1,
                    }
                }
                1 | 2 => {
                    let Some(owner) = owner else { continue };
                    let who = ["alice", "bob", "carol"][usize::try_from(next(3)).unwrap()];
                    if let Ok(counted) = test.vote(owner.id, who, Verdict::Approve, clock) {
                        votes.entry(owner.id).or_default().push(who);
                        settled.extend(counted.settled);
                    }
                }
                3 => settled.drain(..).for_each(|s| {
                    if s.how == How::Approved {
                        approved.insert(s.id, clock);
                    }
                    test.record(&s, clock);
                }),
                4 => {
                    let Some(owner) = owner else { continue };
                    if let Some(permit) = test.approvals.take(owner, test.at(clock)) {
                        let mut said = votes[&permit.id].clone();
                        said.sort_unstable();
                        said.dedup();
                        assert!(said.len() >= 2);
                        assert!(clock - approved[&permit.id] < PERMISSION);
                        assert!(!spent.contains(&permit.id));
                        spent.push(permit.id);
                        used += 1;
                    }
                }
                5 => {
                    let Some(owner) = owner else { continue };
                    test.approvals.leave(owner);
                }
                _ => settled.extend(test.approvals.due(test.at(clock))),
            }
            assert!(test.approvals.entries.len() <= 6 + owners.len());
        }
        settled.extend(test.approvals.due(test.at(clock + 10_000)));
        settled.iter().for_each(|s| test.record(s, clock + 10_000));
        let last = test.approvals.due(test.at(clock + 20_000));
        last.iter().for_each(|s| test.record(s, clock + 20_000));
        owners.iter().for_each(|owner| test.approvals.leave(*owner));
        assert!(test.approvals.entries.is_empty(), "{:?}", test.approvals.entries);
    }
    assert!(used > 100 && refused > 100, "{used} {refused}");
}
