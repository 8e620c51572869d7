//! Every message in every state of every channel: what the table allows is
//! taken, and nothing else.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod samples;

use std::collections::VecDeque;
use std::fmt::Debug;

use samples::{Visitor, every_direction};
use strongroom_protocol::channel::{Budget, Direction, Gate, Row, Violation};
use strongroom_protocol::codec::{self, WireError};
use strongroom_protocol::limits::{MAX_FDS, MAX_PACKET};

/// A gate that has been brought into a state by messages, as a peer would.
fn gate_in<D: Direction>(state: D::State, samples: &[D::Message]) -> Gate<D> {
    let mut open = VecDeque::from([Vec::<usize>::new()]);
    for _ in 0..1000 {
        let path = open.pop_front().expect("the state can be reached");
        let mut gate = Gate::<D>::new();
        for step in &path {
            take(&mut gate, &samples[*step]).expect("the table allows each step");
        }
        if gate.state() == state {
            return gate;
        }
        let from = gate.state();
        let steps = samples.iter().enumerate().filter(|(_, m)| {
            let row = row::<D>(m);
            row.from.contains(&from) && row.to.is_some_and(|to| to != from)
        });
        open.extend(steps.map(|(step, _)| [path.as_slice(), &[step]].concat()));
    }
    panic!("{state:?} of channel {} cannot be reached", D::CHANNEL);
}

fn row<D: Direction>(message: &D::Message) -> &'static Row<D::State> {
    D::TABLE.iter().find(|row| row.tag == D::tag(message)).expect("every message has a row")
}

fn take<D: Direction>(gate: &mut Gate<D>, message: &D::Message) -> Result<D::Message, Violation> {
    gate.admit(&codec::encode(message).unwrap(), row::<D>(message).fds, 0)
}

struct Table;

impl Visitor for Table {
    fn visit<D: Direction>(&mut self, samples: &[D::Message])
    where
        D::Message: PartialEq + Debug + Clone,
    {
        let tags: Vec<u32> = D::TABLE.iter().map(|row| row.tag).collect();
        assert_eq!(tags, (0..tags.len() as u32).collect::<Vec<_>>(), "tags count from 0");
        let sampled: Vec<u32> = samples.iter().map(|m| D::tag(m)).collect();
        assert_eq!(tags, sampled, "one sample of each kind, in order");
        for (row, message) in D::TABLE.iter().zip(samples) {
            // The tag in the table is the tag on the wire.
            let bytes = codec::encode(message).unwrap();
            assert_eq!(bytes[..4], row.tag.to_le_bytes());
            assert!(row.fds <= MAX_FDS && !row.from.is_empty() && !row.doc.trim().is_empty());
        }
        for state in D::STATES {
            gate_in::<D>(*state, samples);
        }
    }
}

#[test]
fn tables_are_complete() {
    every_direction(&mut Table);
}

#[derive(Default)]
struct States {
    admitted: usize,
    refused: usize,
}

impl Visitor for States {
    fn visit<D: Direction>(&mut self, samples: &[D::Message])
    where
        D::Message: PartialEq + Debug + Clone,
    {
        for state in D::STATES {
            for message in samples {
                let row = row::<D>(message);
                let packet = codec::encode(message).unwrap();
                let context = format!("{} {} in {state:?}", D::CHANNEL, row.name);
                let allowed = row.from.contains(state);

                for fds in 0..=MAX_FDS + 1 {
                    let mut gate = gate_in::<D>(*state, samples);
                    let got = gate.admit(&packet, fds, 0);
                    let want = match (allowed, fds == row.fds) {
                        (false, _) => Err(Violation::OutOfState),
                        (true, false) => Err(Violation::WrongFds),
                        (true, true) => Ok(message.clone()),
                    };
                    let next = if want.is_ok() { row.to.unwrap_or(*state) } else { *state };
                    // A row that may come once may have been used to get here.
                    if got == Err(Violation::OverBudget) && row.budget == Budget::Once {
                        assert!(want.is_ok(), "{context}");
                        continue;
                    }
                    assert_eq!(got, want, "{context}, {fds} descriptors");
                    assert_eq!(gate.state(), next, "{context}");
                    *(if want.is_ok() { &mut self.admitted } else { &mut self.refused }) += 1;
                }
            }
        }
    }
}

#[test]
fn state_by_message_by_descriptors() {
    let mut states = States::default();
    every_direction(&mut states);
    eprintln!("{} admitted, {} refused", states.admitted, states.refused);
    assert!(states.admitted > 50 && states.refused > 300);
}

struct Bodies;

impl Visitor for Bodies {
    fn visit<D: Direction>(&mut self, samples: &[D::Message])
    where
        D::Message: PartialEq + Debug + Clone,
    {
        for message in samples {
            let row = row::<D>(message);
            let state = *row.from.first().unwrap();
            let packet = codec::encode(message).unwrap();
            let admit = |bytes: &[u8], fds| gate_in::<D>(state, samples).admit(bytes, fds, 0);

            for length in 0..packet.len() {
                assert_eq!(
                    admit(&packet[..length], row.fds),
                    Err(Violation::Body(WireError::Malformed)),
                    "{} cut to {length}",
                    row.name
                );
            }
            let longer = [packet.as_slice(), &[0]].concat();
            assert_eq!(admit(&longer, row.fds), Err(Violation::Body(WireError::TrailingBytes)));
            let mut padded = packet.clone();
            padded.resize(MAX_PACKET, 0);
            assert_eq!(admit(&padded, row.fds), Err(Violation::Body(WireError::TrailingBytes)));
            padded.push(0);
            assert_eq!(admit(&padded, row.fds), Err(Violation::Body(WireError::TooBig)));

            for tag in [D::TABLE.len() as u32, 1 << 8, 1 << 31, u32::MAX] {
                let mut unknown = packet.clone();
                unknown[..4].copy_from_slice(&tag.to_le_bytes());
                assert_eq!(admit(&unknown, row.fds), Err(Violation::UnknownKind));
            }
        }
    }
}

#[test]
fn truncated_trailing_unknown() {
    every_direction(&mut Bodies);
}

/// Returns to a state by one message without a budget, where there is one.
fn go_back<D: Direction>(gate: &mut Gate<D>, state: D::State, samples: &[D::Message]) {
    let from = gate.state();
    let back = samples.iter().find(|m| {
        let row = row::<D>(m);
        row.budget == Budget::Unbounded && row.from.contains(&from) && row.to == Some(state)
    });
    if let Some(back) = back.filter(|_| from != state) {
        take(gate, back).unwrap();
    }
}

struct Budgets;

impl Visitor for Budgets {
    fn visit<D: Direction>(&mut self, samples: &[D::Message])
    where
        D::Message: PartialEq + Debug + Clone,
    {
        for message in samples {
            let row = row::<D>(message);
            let packet = codec::encode(message).unwrap();
            let first = *row.from.first().unwrap();
            let mut gate = gate_in::<D>(first, samples);
            let mut admit = |now| {
                let admitted = gate.admit(&packet, row.fds, now).map(drop);
                go_back(&mut gate, first, samples);
                admitted
            };
            match row.budget {
                Budget::Once => {
                    assert_eq!(admit(0), Ok(()));
                    // Over its budget, or no longer in the state for it.
                    assert!(admit(u64::MAX).is_err(), "{}", row.name);
                }
                Budget::PerSecond(rate) => {
                    for _ in 0..rate {
                        assert_eq!(admit(0), Ok(()));
                    }
                    assert_eq!(admit(0), Err(Violation::OverBudget), "{}", row.name);
                    for _ in 0..rate {
                        let _ = admit(3000);
                    }
                    assert_eq!(admit(3000), Err(Violation::OverBudget), "{}", row.name);
                }
                Budget::Unbounded if row.to.is_none() => {
                    for _ in 0..5000 {
                        assert_eq!(admit(0), Ok(()));
                    }
                }
                Budget::Unbounded => {}
            }
        }
    }
}

#[test]
fn budgets() {
    every_direction(&mut Budgets);
}

struct Noise(u64);

impl Noise {
    /// xorshift64: the same noise on every run.
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

impl Visitor for Noise {
    fn visit<D: Direction>(&mut self, samples: &[D::Message])
    where
        D::Message: PartialEq + Debug + Clone,
    {
        for round in 0..20_000 {
            let length = (self.next() % 300) as usize;
            let mut packet: Vec<u8> = (0..length).map(|_| self.next() as u8).collect();
            let message = &samples[round % samples.len()];
            // Half of them with a tag that exists, and mostly small numbers.
            if round % 2 == 0 && length >= 4 {
                packet[..4].copy_from_slice(&D::tag(message).to_le_bytes());
                for byte in &mut packet[4..] {
                    *byte = if *byte % 4 == 0 { *byte / 64 } else { 0 };
                }
            }
            let row = row::<D>(message);
            let mut gate = gate_in::<D>(*row.from.first().unwrap(), samples);
            if let Ok(message) = gate.admit(&packet, row.fds, 0) {
                assert_eq!(*codec::encode(&message).unwrap(), packet);
            }
        }
    }
}

#[test]
fn noise() {
    every_direction(&mut Noise(0x5eed_0f57_0a0e_5afe));
}
