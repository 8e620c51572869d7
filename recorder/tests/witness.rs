//! What goes to the witness: only what is on the disk, and no more than it
//! takes.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::Read as _;
use std::os::fd::AsFd as _;

use strongroom_audit::note::{SignKey, witnessed};
use strongroom_recorder::witness::Witness;
use strongroom_sys::{Errno, fd};

fn note(size: u64) -> String {
    SignKey::new("strongroom-audit/00", &mut [1; 32]).sign(size, &[7; 32])
}

fn sizes(text: &str) -> Vec<u64> {
    witnessed(text).iter().map(|checkpoint| checkpoint.size).collect()
}

#[test]
fn a_file_is_told_once_a_second_and_of_every_seal() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut witness = Witness::new(file.reopen().unwrap().into()).unwrap();
    for (size, is_seal) in [(1, false), (2, false), (3, true), (4, false), (5, true)] {
        witness.tell(&note(size), is_seal).unwrap();
    }
    assert_eq!(sizes(&std::fs::read_to_string(file.path()).unwrap()), [1, 3, 5]);
}

#[test]
fn a_stream_is_told_of_seals_and_never_waited_for() {
    let (read, write) = fd::pipe().unwrap();
    fd::set_nonblocking(write.as_fd()).unwrap();
    let mut witness = Witness::new(write).unwrap();
    // More than a pipe holds: nobody reads, nobody waits.
    for size in 1..=1000 {
        witness.tell(&note(size), size % 2 == 0).unwrap();
    }
    drop(witness);
    let mut text = String::new();
    std::fs::File::from(read).read_to_string(&mut text).unwrap();
    let told = sizes(&text);
    assert!(told.len() > 100 && told.len() < 500, "{}", told.len());
    assert!(told.iter().all(|size| size % 2 == 0));
    assert_eq!(text.lines().count(), told.len(), "whole lines only");
}

#[test]
fn a_stream_without_a_reader_is_an_error() {
    let (read, write) = fd::pipe().unwrap();
    drop(read);
    let mut witness = Witness::new(write).unwrap();
    assert_eq!(witness.tell(&note(1), true), Err(Errno::EPIPE));
}
