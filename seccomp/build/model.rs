//! A list after reading: names resolved to numbers, constants to values.

use std::collections::BTreeMap;

/// What the filter answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Allow,
    Kill,
    Notify,
    Errno(u16),
}

/// What one condition asks of its argument.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Test {
    /// Low half, masked, is one of these.
    LowIn { mask: u32, values: Vec<u32> },
    /// High half is zero.
    HighZero,
    /// All 64 bits are zero.
    Null,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    pub arg: usize,
    pub test: Test,
    /// As a reader would say it: `domain is AF_INET or AF_INET6`.
    pub text: String,
}

/// One way through a rule: all conditions hold, then this verdict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    pub why: String,
    pub net: Vec<usize>,
    pub unix: Vec<usize>,
    pub when: Vec<Condition>,
    pub then: Verdict,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    Plain(Verdict),
    Rule { cases: Vec<Case>, otherwise: Verdict },
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub names: Vec<String>,
    pub numbers: Vec<u32>,
    pub why: String,
    pub body: Body,
}

pub struct List {
    pub name: String,
    pub purpose: String,
    pub unlisted: Verdict,
    pub unknown: Verdict,
    pub entries: Vec<Entry>,
}

impl List {
    /// The entry body for each number that has one.
    pub fn bodies(&self) -> BTreeMap<u32, &Body> {
        self.entries.iter().flat_map(|e| e.numbers.iter().map(|n| (*n, &e.body))).collect()
    }
}

/// The system calls of one architecture.
pub struct Arch {
    pub audit: u32,
    /// Numbers from here up belong to another calling convention (x32).
    pub foreign_abi: Option<u32>,
    pub absent: Vec<String>,
    pub numbers: BTreeMap<String, u32>,
}
