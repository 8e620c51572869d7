//! Our checkpoints as somebody else reads them: `signed_note` and `tlog_tiles`
//! are an implementation of C2SP signed-note, tlog-checkpoint and the RFC 6962
//! tree that has nothing in common with ours but the documents.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::collections::HashMap;

use common::*;
use signed_note::{Note, StandardVerifier, VerifierList};
use strongroom_audit::line::Line;
use strongroom_audit::note::VerifyKey;
use strongroom_audit::scan::unescaped;
use tlog_tiles::{Checkpoint, Hash, HashReader, check_tree, prove_tree, stored_hashes, tree_hash};

#[derive(Default)]
struct Hashes(HashMap<u64, Hash>);

impl HashReader for Hashes {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[index]).collect())
    }
}

/// What counts of a line: without its newline, and without its note.
fn leaf(bytes: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).unwrap().trim_end();
    match text.find(",\"note\":") {
        Some(at) => format!("{}}}", &text[..at]).into_bytes(),
        None => text.as_bytes().to_vec(),
    }
}

#[test]
fn another_implementation_verifies_every_checkpoint() {
    let log = Built::new(SMALL);
    let mut hashes = Hashes::default();
    let mut key = log.first_key.to_string();
    let mut seen: Vec<(u64, Hash)> = Vec::new();
    for (n, bytes) in (0..).zip(log.lines()) {
        let stored = stored_hashes(n, &leaf(&bytes), &hashes).unwrap();
        let from = tlog_tiles::stored_hash_count(n);
        hashes.0.extend((from..).zip(stored));

        let line = Line::parse(bytes.trim_ascii_end()).unwrap();
        let Some(note) = line.note() else { continue };
        let note = Note::from_bytes(note.as_bytes()).unwrap();
        let verifier = StandardVerifier::new(&key).unwrap();
        let (verified, others) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
        assert_eq!((verified.len(), others.len()), (1, 0));
        let checkpoint = Checkpoint::from_bytes(note.text()).unwrap();
        assert_eq!(checkpoint.origin(), "strongroom-audit/11");
        assert_eq!(checkpoint.extension(), "");
        assert_eq!(checkpoint.size(), n + 1);
        assert_eq!(*checkpoint.hash(), tree_hash(n + 1, &hashes).unwrap());
        // Each is consistent with all before it.
        for (size, root) in &seen {
            let proof = prove_tree(n + 1, *size, &hashes).unwrap();
            check_tree(&proof, n + 1, *checkpoint.hash(), *size, *root).unwrap();
        }
        seen.push((n + 1, *checkpoint.hash()));
        if let Some(next) = line.text("next") {
            key = unescaped(next);
        }
    }
    assert!(seen.len() > 15, "{}", seen.len());
    // Their keys read as ours do.
    assert_eq!(VerifyKey::parse(&key).unwrap().id(), signed_note_id(&key));
}

fn signed_note_id(key: &str) -> u32 {
    use signed_note::Verifier as _;
    StandardVerifier::new(key).unwrap().key_id()
}

#[test]
fn what_it_refuses_we_refuse() {
    let log = Built::new(SMALL);
    let lines = log.lines();
    let note = lines.iter().find_map(|bytes| Line::parse(bytes.trim_ascii_end()).unwrap().note());
    let note = note.unwrap();
    let verifier = || StandardVerifier::new(&log.first_key.to_string()).unwrap();
    for (at, _) in note.char_indices() {
        for with in ["x", "0", "\n", " ", "+", ""] {
            let end = at + note[at..].chars().next().unwrap().len_utf8();
            let other = format!("{}{with}{}", &note[..at], &note[end..]);
            if other == note {
                continue;
            }
            let theirs = Note::from_bytes(other.as_bytes())
                .is_ok_and(|n| n.verify(&VerifierList::new(vec![Box::new(verifier())])).is_ok());
            let ours = strongroom_audit::note::Checkpoint::parse(&other)
                .is_some_and(|checkpoint| checkpoint.is_by(&log.first_key));
            assert!(!ours && !theirs, "{other}");
        }
    }
}
