//! What is redacted in the measurements: secrets, and texts kind and hostile.

use super::{Secrets, name};

pub const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Such as people have: tokens with and without a prefix, URLs, passwords.
pub fn tokens(count: usize, random: &mut Random) -> Secrets {
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

pub fn pem(bytes: usize, random: &mut Random) -> Vec<u8> {
    let body = alphabet(bytes * 4 / 3, BASE64, 64, random);
    [b"-----BEGIN PRIVATE KEY-----\n", &body[..], b"\n-----END PRIVATE KEY-----\n"].concat()
}

pub fn log_text(bytes: usize, random: &mut Random) -> Vec<u8> {
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

pub fn planted(log: &[u8], secrets: &Secrets, random: &mut Random) -> Vec<u8> {
    let mut text = Vec::with_capacity(log.len() + 100_000);
    for part in log.chunks(log.len() / 1000) {
        text.extend_from_slice(part);
        text.extend_from_slice(&secrets[random.below(secrets.len())].1);
    }
    text
}

pub fn coloured(log: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(log.len() * 5 / 4);
    for line in log.split_inclusive(|byte| *byte == b'\n') {
        let (time, rest) = line.split_at(25.min(line.len()));
        text.extend_from_slice(&[b"\x1b[2m", time, b"\x1b[0m\x1b[32m", rest, b"\x1b[0m"].concat());
    }
    text
}

pub fn cyrillic(bytes: usize, random: &mut Random) -> Vec<u8> {
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

/// RFC 4648 section 4, without padding.
pub fn base64(bytes: &[u8]) -> Vec<u8> {
    let four = |three: &[u8]| {
        let bits = three
            .iter()
            .chain(&[0; 2])
            .take(3)
            .fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        (0..=three.len()).map(move |at| BASE64[bits >> (18 - 6 * at) & 0x3f]).collect::<Vec<_>>()
    };
    bytes.chunks(3).flat_map(four).collect()
}

pub fn alphabet(bytes: usize, alphabet: &[u8], line: usize, random: &mut Random) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + bytes / line);
    for at in 1..=bytes {
        text.push(alphabet[random.below(alphabet.len())]);
        if at % line == 0 && at < bytes {
            text.push(b'\n');
        }
    }
    text
}

/// xorshift64*: the same texts every time.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256) as u8).collect()
    }

    pub fn token(&mut self, count: usize) -> Vec<u8> {
        alphabet(
            count,
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            usize::MAX,
            self,
        )
    }
}
