//! The bytes on the wire, pinned: one line for each message in `golden/`, the
//! name and the packet in hexadecimal. Whoever changes them changes
//! [`strongroom_protocol::plan::VERSION`] too, and writes the files anew with
//! `STRONGROOM_WRITE_GOLDEN=1 cargo test -p strongroom-protocol`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod samples;

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use samples::{Visitor, actions, every_direction};
use strongroom_protocol::action::ActionObject;
use strongroom_protocol::channel::Direction;
use strongroom_protocol::codec;
use strongroom_protocol::text::hex;

fn file<D: Direction>() -> PathBuf {
    golden(&format!("{}-{}-to-{}.txt", D::CHANNEL.to_lowercase(), D::FROM, D::TO))
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn pinned(file: &Path, lines: &str) {
    if std::env::var_os("STRONGROOM_WRITE_GOLDEN").is_some() {
        std::fs::write(file, lines).unwrap();
    }
    let golden = std::fs::read_to_string(file).unwrap();
    assert_eq!(lines, golden, "{} changed on the wire", file.display());
}

struct Golden;

impl Visitor for Golden {
    fn visit<D: Direction>(&mut self, samples: &[D::Message])
    where
        D::Message: PartialEq + Debug + Clone,
    {
        let lines: String = D::TABLE
            .iter()
            .zip(samples)
            .map(|(row, message)| {
                format!("{} {}\n", row.name, hex(&codec::encode(message).unwrap()))
            })
            .collect();
        pinned(&file::<D>(), &lines);
    }
}

#[test]
fn the_wire_has_not_changed() {
    every_direction(&mut Golden);
}

#[test]
fn what_is_decided_on_has_not_changed() {
    let lines: String =
        actions().iter().map(|action| format!("{}\n", hex(&action.encode().unwrap()))).collect();
    pinned(&golden("action.txt"), &lines);
}

/// Two action objects never have the same bytes, nor one of them two.
#[test]
fn an_action_object_has_one_encoding() {
    let (mut refused, mut others) = (0, 0);
    for action in actions() {
        let bytes = action.encode().unwrap();
        assert_eq!(ActionObject::decode(&bytes).as_ref(), Ok(&action));
        for at in 0..bytes.len() {
            assert!(ActionObject::decode(&bytes[..at]).is_err());
            for flip in 1..=255u8 {
                let mut mutant = bytes.clone();
                mutant[at] ^= flip;
                match ActionObject::decode(&mutant) {
                    Err(_) => refused += 1,
                    Ok(other) => {
                        assert_ne!(other, action);
                        assert_eq!(other.encode().unwrap(), mutant);
                        others += 1;
                    }
                }
            }
        }
    }
    eprintln!("{refused} refused, {others} other action objects");
    assert!(refused > 50_000 && others > 100_000);
}

struct Back;

impl Visitor for Back {
    fn visit<D: Direction>(&mut self, samples: &[D::Message])
    where
        D::Message: PartialEq + Debug + Clone,
    {
        for message in samples {
            let packet = codec::encode(message).unwrap();
            assert_eq!(codec::decode::<D::Message>(&packet).as_ref(), Ok(message));
        }
    }
}

#[test]
fn what_goes_in_comes_out() {
    every_direction(&mut Back);
}

#[derive(Default)]
struct Mutations {
    other_message: usize,
    refused: usize,
}

impl Visitor for Mutations {
    fn visit<D: Direction>(&mut self, samples: &[D::Message])
    where
        D::Message: PartialEq + Debug + Clone,
    {
        for message in samples {
            let packet = codec::encode(message).unwrap();
            for at in 0..packet.len() {
                for flip in 1..=255u8 {
                    let mut mutant = packet.clone();
                    mutant[at] ^= flip;
                    match codec::decode::<D::Message>(&mutant) {
                        Err(_) => self.refused += 1,
                        // One encoding for each message: no two byte strings
                        // mean the same.
                        Ok(other) => {
                            assert_eq!(codec::encode(&other).unwrap(), mutant);
                            assert_ne!(&other, message);
                            self.other_message += 1;
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn one_byte_changed_is_refused_or_another_message() {
    let mut mutations = Mutations::default();
    every_direction(&mut mutations);
    eprintln!("{} refused, {} other messages", mutations.refused, mutations.other_message);
    assert!(mutations.refused > 100_000);
}
