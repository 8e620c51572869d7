//! Speed of the redaction, side by side with a search of the same forms by
//! aho-corasick and with the memory's ceiling, on texts kind and hostile.
//!
//! `cargo run --release -p strongroom-redact --example throughput [-- ROW]`

#![allow(clippy::indexing_slicing)]

use std::hint::black_box;

use strongroom_redact::{Patterns, Stream};

const MIB: usize = 1024 * 1024;
/// What the broker reads at once.
const CHUNK: usize = 64 * 1024;

type Secrets = Vec<(Vec<u8>, Vec<u8>)>;

fn main() {
    let mut random = Random(0x5eed);
    let secrets = tokens(64, &mut random);
    let patterns = build(&secrets);
    let (tables, bytes) = patterns.size();
    println!(
        "64 secrets: {} forms, {} KiB of them, tables {} KiB",
        patterns.forms(),
        bytes / 1024,
        tables / 1024
    );

    println!("\n{:34} {:>9} {:>9} {:>9}   MiB/s", "64 KiB writes", "redact", "aho-cor.", "memchr");
    let log = log_text(32 * MIB, &mut random);
    row("log, no secret", &patterns, &secrets, &log);
    row("log, 1000 secrets", &patterns, &secrets, &planted(&log, &secrets, &mut random));
    row(
        "base64",
        &patterns,
        &secrets,
        &alphabet(
            32 * MIB,
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            76,
            &mut random,
        ),
    );
    row("hex", &patterns, &secrets, &alphabet(32 * MIB, b"0123456789abcdef", 64, &mut random));
    row("random bytes", &patterns, &secrets, &random.bytes(32 * MIB));
    row("log in colour", &patterns, &secrets, &coloured(&log));
    row("log in Cyrillic", &patterns, &secrets, &cyrillic(16 * MIB, &mut random));

    println!("\nhostile");
    let first = &secrets[0].1;
    row(
        "a secret but its last byte",
        &patterns,
        &secrets,
        &first[..first.len() - 1].repeat(8 * MIB / first.len()),
    );
    row("its first 8 bytes", &patterns, &secrets, &first[..8].repeat(MIB));
    row(
        "its first 8 bytes, line by line",
        &patterns,
        &secrets,
        &[&first[..8], b"\n"].concat().repeat(MIB),
    );
    row("beginnings of all forms", &patterns, &secrets, &beginnings(&secrets, &mut random));
    row("the secrets, back to back", &patterns, &secrets, &back_to_back(&secrets));
    row("every byte in colour", &patterns, &secrets, &b"s\x1b[1m".repeat(2 * MIB));
    let same: Secrets = (0..64).map(|i| (name(i), vec![b'a'; 12 + i])).collect();
    row("aaa, 64 secrets of a", &build(&same), &same, &vec![b'a'; 8 * MIB]);
    row("aaa in lines of 9, the same", &build(&same), &same, &b"aaaaaaaaa\n".repeat(MIB / 2));
    row(
        "aaa in lines of 100, the same",
        &build(&same),
        &same,
        &[&[b'a'; 100][..], b"\n"].concat().repeat(MIB / 25),
    );
    let long: Secrets = vec![(name(0), vec![b'a'; 65536])];
    row("aaa, a secret of 64 KiB of a", &build(&long), &long, &vec![b'a'; 8 * MIB]);
    let prefixed: Secrets =
        (0..512).map(|i| (name(i), [b"sk-live-", &random.token(24)[..]].concat())).collect();
    row("sk-live-, 512 such secrets", &build(&prefixed), &prefixed, &b"sk-live-".repeat(MIB));
    row(
        "sk-live- line by line, the same",
        &build(&prefixed),
        &prefixed,
        &b"sk-live-\n".repeat(MIB),
    );
    println!();
    pieces("log, one byte at a time", &patterns, &log[..MIB], 1);
    pieces("log, 100 bytes at a time", &patterns, &log[..8 * MIB], 100);

    println!();
    for count in [64, 512] {
        let secrets = tokens(count, &mut random);
        describe(&format!("{count} tokens"), &secrets);
    }
    describe("1 PEM of 1.7 KiB", &vec![(name(0), pem(1190, &mut random))]);
    describe("1 PEM of 64 KiB", &vec![(name(0), pem(47000, &mut random))]);
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

fn row(what: &str, patterns: &Patterns, secrets: &Secrets, text: &[u8]) {
    if !wanted(what) {
        return;
    }
    // Aho-Corasick gets the secrets as they are: all forms would not fit.
    let plain = aho_corasick::AhoCorasick::builder()
        .kind(Some(aho_corasick::AhoCorasickKind::DFA))
        .match_kind(aho_corasick::MatchKind::LeftmostLongest)
        .build(secrets.iter().map(|(_, value)| value).filter(|value| value.len() < 4096));
    let automaton =
        plain.ok().map_or(0.0, |plain| best(text.len(), || plain.find_iter(text).count()));
    let ceiling = best(text.len(), || memchr::memchr_iter(b'\x01', text).count());
    println!("{what:34} {:9.0} {automaton:9.0} {ceiling:9.0}", speed(patterns, text, CHUNK));
}

fn pieces(what: &str, patterns: &Patterns, text: &[u8], chunk: usize) {
    if wanted(what) {
        println!("{what:34} {:9.0}", speed(patterns, text, chunk));
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
    bytes as f64 / MIB as f64 / fastest.max(1e-6)
}

/// Seconds this thread has run: other processes count less than on a clock.
fn processor_time() -> f64 {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = times.split_whitespace().next().and_then(|time| time.parse::<f64>().ok());
    nanoseconds.unwrap_or_default() / 1e9
}

fn build(secrets: &Secrets) -> Patterns {
    let pairs: Vec<_> = secrets.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    Patterns::build(&pairs)
}

fn name(index: usize) -> Vec<u8> {
    format!("KEY_{index}").into_bytes()
}

/// Such as people have: tokens with and without a prefix, URLs, passwords.
fn tokens(count: usize, random: &mut Random) -> Secrets {
    let make = |index| {
        let value = match index % 8 {
            0 => [b"sk-live-", &random.token(24)[..]].concat(),
            1 => [b"ghp_", &random.token(36)[..]].concat(),
            2 => [b"postgres://app:", &random.token(20)[..], b"@db.internal:5432/app"].concat(),
            3 => [b"AKIA", &random.token(16)[..], b"/+", &random.token(22)[..]].concat(),
            4 => [&random.token(10)[..], b"!$\"'<&> \\", &random.token(8)[..]].concat(),
            5 => random.token(64),
            6 => random.token(20),
            _ => random.token(40),
        };
        (name(index), value)
    };
    (0..count).map(make).collect()
}

fn pem(bytes: usize, random: &mut Random) -> Vec<u8> {
    let body = alphabet(
        bytes * 4 / 3,
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        64,
        random,
    );
    [b"-----BEGIN PRIVATE KEY-----\n", &body[..], b"\n-----END PRIVATE KEY-----\n"].concat()
}

fn log_text(bytes: usize, random: &mut Random) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 256);
    let mut at = 0_u64;
    while text.len() < bytes {
        at += random.below(900) as u64;
        let words = [
            "request",
            "cache miss for",
            "retrying",
            "user logged in",
            "connection from",
            "compiled",
        ];
        let line = format!(
            "2026-03-{:02}T{:02}:{:02}:{:02}.{:03}Z INFO  app::server::worker{} {} path=/api/v1/items/{} status={} took={}ms id={:016x}\n",
            1 + at / 86_400_000 % 28,
            at / 3_600_000 % 24,
            at / 60_000 % 60,
            at / 1000 % 60,
            at % 1000,
            random.below(16),
            words[random.below(words.len())],
            random.below(100_000),
            [200, 200, 200, 301, 404, 500][random.below(6)],
            random.below(400),
            random.next(),
        );
        text.extend_from_slice(line.as_bytes());
    }
    text
}

fn planted(log: &[u8], secrets: &Secrets, random: &mut Random) -> Vec<u8> {
    let mut text = Vec::with_capacity(log.len() + 100_000);
    for part in log.chunks(log.len() / 1000) {
        text.extend_from_slice(part);
        text.extend_from_slice(&secrets[random.below(secrets.len())].1);
    }
    text
}

fn coloured(log: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(log.len() * 5 / 4);
    for line in log.split_inclusive(|byte| *byte == b'\n') {
        let (time, rest) = line.split_at(25.min(line.len()));
        text.extend_from_slice(&[b"\x1b[2m", time, b"\x1b[0m\x1b[32m", rest, b"\x1b[0m"].concat());
    }
    text
}

fn cyrillic(bytes: usize, random: &mut Random) -> Vec<u8> {
    let words = [
        "запрос",
        "выполнен",
        "успешно",
        "пользователь",
        "ошибка",
        "соединение —",
        "«кэш»",
        "за 12 мс…\n",
    ];
    let mut text = String::new();
    while text.len() < bytes {
        text.push_str(words[random.below(words.len())]);
        text.push(' ');
    }
    text.into_bytes()
}

fn beginnings(secrets: &Secrets, random: &mut Random) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < 8 * MIB {
        let secret = &secrets[random.below(secrets.len())].1;
        text.extend_from_slice(&secret[..8 + random.below(secret.len() - 8)]);
    }
    text
}

fn back_to_back(secrets: &Secrets) -> Vec<u8> {
    let all: Vec<u8> = secrets.iter().flat_map(|(_, value)| value.clone()).collect();
    all.repeat(8 * MIB / all.len())
}

fn alphabet(bytes: usize, alphabet: &[u8], line: usize, random: &mut Random) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + bytes / line);
    for at in 1..=bytes {
        text.push(alphabet[random.below(alphabet.len())]);
        if at % line == 0 && at < bytes {
            text.push(b'\n');
        }
    }
    text
}

/// xorshift64*
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256) as u8).collect()
    }

    fn token(&mut self, count: usize) -> Vec<u8> {
        alphabet(
            count,
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            usize::MAX,
            self,
        )
    }
}
