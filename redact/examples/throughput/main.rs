//! Speed of the redaction, side by side with a search of the same secrets by
//! aho-corasick and with the memory's ceiling, on texts kind and hostile.
//!
//! `cargo run --release -p strongroom-redact --example throughput [-- ROW]`

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::hint::black_box;

use nix::time::{ClockId, clock_gettime};
use strongroom_redact::{Patterns, Stream};
use texts::Random;

mod hostile;
mod texts;

const MIB: usize = 1024 * 1024;
/// What the broker reads at once.
const CHUNK: usize = 64 * 1024;

/// The same texts every time.
const SEED: u64 = 0x5eed;

type Secrets = Vec<(Vec<u8>, Vec<u8>)>;

fn main() {
    let mut random = Random(SEED);
    let secrets = texts::tokens(64, &mut random);
    let mut table = Table::new(&secrets);
    let (tables, bytes) = table.patterns.size();
    println!(
        "64 secrets: {} forms, {} KiB of them, tables {} KiB",
        table.patterns.forms(),
        bytes / 1024,
        tables / 1024
    );

    println!("\n{:44} {:>9} {:>9} {:>9}   MiB/s", "64 KiB writes", "redact", "aho-cor.", "memchr");
    table.row("log, no secret", log);
    let planted = |random: &mut Random| texts::planted(&log(random), &secrets, random);
    table.row("log, 1000 secrets", planted);
    table.row("base64", |random| texts::alphabet(32 * MIB, texts::BASE64, 76, random));
    table.row("hex", |random| texts::alphabet(32 * MIB, b"0123456789abcdef", 64, random));
    table.row("random bytes", |random| random.bytes(32 * MIB));
    table.row("log in colour", |random| texts::coloured(&log(random)));
    table.row("log in Cyrillic", |random| texts::cyrillic(16 * MIB, random));
    table.row("zeroes", |_| vec![0; 32 * MIB]);

    println!("\nhostile, the same secrets");
    table.worst = None;
    for (what, text) in hostile::of(&secrets) {
        table.row(what, text);
    }
    table.print_worst();

    println!("\nhostile, with secrets that are");
    table.worst = None;
    for hostile::Made { what, secrets, texts } in hostile::made(&mut random) {
        let mut rows = Table { worst: table.worst.take(), ..Table::new(&secrets) };
        for (how, text) in texts {
            rows.row(&format!("{what}: {how}"), text);
        }
        table.worst = rows.worst;
    }
    table.print_worst();

    println!();
    table.pieces("log, one byte at a time", MIB, 1);
    table.pieces("log, 100 bytes at a time", 8 * MIB, 100);

    println!();
    for count in [64, 512] {
        let secrets = texts::tokens(count, &mut random);
        describe(&format!("{count} tokens"), &secrets);
    }
    describe("1 PEM of 1.7 KiB", &vec![(name(0), texts::pem(1190, &mut random))]);
    describe("1 PEM of 64 KiB", &vec![(name(0), texts::pem(47000, &mut random))]);
}

fn log(random: &mut Random) -> Vec<u8> {
    texts::log_text(32 * MIB, random)
}

fn describe(what: &str, secrets: &Secrets) {
    if !wanted(what) {
        return;
    }
    let time = 1.0 / best(MIB, || build(secrets).forms());
    let patterns = build(secrets);
    let (tables, bytes) = patterns.size();
    println!(
        "{what}: build {:.1} ms, {} forms of {} KiB, tables {} KiB",
        time * 1e3,
        patterns.forms(),
        bytes / 1024,
        tables / 1024
    );
}

/// Rows of one set of secrets.
struct Table {
    patterns: Patterns,
    automaton: aho_corasick::AhoCorasick,
    worst: Option<(f64, String)>,
}

impl Table {
    fn new(secrets: &Secrets) -> Self {
        // Aho-Corasick gets the secrets as they are: all forms would not fit.
        let values = secrets.iter().map(|(_, value)| value).filter(|value| value.len() < 4096);
        let automaton = aho_corasick::AhoCorasick::builder()
            .kind(Some(aho_corasick::AhoCorasickKind::DFA))
            .match_kind(aho_corasick::MatchKind::LeftmostLongest)
            .build(values);
        Self { patterns: build(secrets), automaton: automaton.unwrap(), worst: None }
    }

    fn row(&mut self, what: &str, text: impl Fn(&mut Random) -> Vec<u8>) {
        if !wanted(what) {
            return;
        }
        let text = &text(&mut Random(SEED))[..];
        let automaton = best(text.len(), || self.automaton.find_iter(text).count());
        let ceiling = best(text.len(), || memchr::memchr_iter(b'\x01', text).count());
        let speed = speed(&self.patterns, text, CHUNK);
        println!("{what:44} {speed:9.0} {automaton:9.0} {ceiling:9.0}");
        if self.worst.as_ref().is_none_or(|(worst, _)| speed < *worst) {
            self.worst = Some((speed, what.to_owned()));
        }
    }

    fn print_worst(&self) {
        if let Some((speed, what)) = &self.worst {
            println!("worst: {what}, {speed:.0} MiB/s");
        }
    }

    fn pieces(&self, what: &str, size: usize, chunk: usize) {
        if wanted(what) {
            let text = log(&mut Random(SEED));
            println!("{what:44} {:9.0}", speed(&self.patterns, &text[..size], chunk));
        }
    }
}

fn wanted(what: &str) -> bool {
    std::env::args().nth(1).is_none_or(|wanted| what.contains(&wanted))
}

fn speed(patterns: &Patterns, text: &[u8], chunk: usize) -> f64 {
    let mut out = Vec::with_capacity(2 * CHUNK);
    best(text.len(), || {
        let mut stream = Stream::new();
        let mut length = 0;
        for chunk in text.chunks(chunk) {
            out.clear();
            stream.push(patterns, chunk, &mut out);
            length += out.len();
        }
        out.clear();
        stream.finish(patterns, &mut out);
        length + out.len()
    })
}

/// MiB/s of the fastest of some runs.
fn best(bytes: usize, mut run: impl FnMut() -> usize) -> f64 {
    let fastest = (0..5).map(|_| {
        let start = processor_time();
        black_box(run());
        processor_time() - start
    });
    let fastest = fastest.fold(f64::MAX, f64::min);
    bytes as f64 / MIB as f64 / fastest
}

/// Seconds this thread has run: other processes count less than on a clock.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9
}

fn build(secrets: &Secrets) -> Patterns {
    let pairs: Vec<_> = secrets.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    Patterns::build(&pairs)
}

fn name(index: usize) -> Vec<u8> {
    format!("KEY_{index}").into_bytes()
}
