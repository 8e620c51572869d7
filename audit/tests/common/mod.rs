//! Logs to be tampered with, and who tampers with them.
#![allow(dead_code)]

use std::sync::Arc;

use strongroom_audit::chain::{Chain, Stamp, State, Why};
use strongroom_audit::folder::{Segment, Source};
use strongroom_audit::keyfile::KeyFile;
use strongroom_audit::line::{Line, hex};
use strongroom_audit::note::{Checkpoint, SignKey, VerifyKey};
use strongroom_audit::segment::Name;
use strongroom_audit::tree::leaf_hash;
use strongroom_audit::verify::{Evidence, Finding, Report, verify};

/// A small random number generator (xorshift64*), the same on every run.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// How a log is made.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub records: u64,
    pub checkpoint: u64,
    pub epoch: u64,
    pub segment: u64,
    pub origin: u8,
}

pub const SMALL: Shape =
    Shape { records: 122, checkpoint: 8, epoch: 30, segment: 50, origin: 0x11 };

/// A log, and what others know of it.
#[derive(Debug, Clone)]
pub struct Built {
    /// Lines of each file, newlines included.
    pub files: Vec<Vec<Vec<u8>>>,
    pub key_file: KeyFile,
    /// The key files that it had.
    pub seals: Vec<KeyFile>,
    pub first_key: VerifyKey,
    pub notes: Vec<Checkpoint>,
    /// The epoch in force at the end.
    pub epoch: u64,
    pub origin: u8,
}

pub fn key(origin: u8, epoch: u64) -> SignKey {
    let mut seed = [origin; 32];
    seed[..8].copy_from_slice(&epoch.to_le_bytes());
    SignKey::new(&format!("strongroom-audit/{origin:02x}"), &mut seed)
}

pub fn session(origin: u8) -> String {
    format!("{origin:02x}").repeat(16)
}

/// Clocks of the n-th line.
pub fn clock(n: u64) -> (String, u64) {
    let ms = n * 7;
    let time = format!(
        "2026-01-31T{:02}:{:02}:{:02}.{:06}Z",
        ms / 3_600_000,
        ms / 60_000 % 60,
        ms / 1000 % 60,
        ms % 1000 * 1000 + 1
    );
    (time, 5_000_000 + ms * 1000)
}

/// What the n-th record of a session says.
fn event(n: u64, last: u64) -> (&'static str, &'static str, String) {
    let req = n.div_ceil(4);
    match n {
        0 => {
            ("supervisor", "began", format!("\"policy\":\"{}\",\"tier\":\"full\"", "01".repeat(32)))
        }
        n if n == last => ("supervisor", "ended", "\"status\":0".to_owned()),
        n => match n % 4 {
            1 => (
                "broker",
                "intent",
                format!(
                    "\"req\":{req},\"connection\":1,\"argv\":[\"git\",\"push\",\"{n}\"],\"argc\":3,\"rule\":\"git-push\",\
                     \"profile\":\"build\",\"credentials\":[\"{}\"]",
                    if req.is_multiple_of(7) { "DEPLOY_KEY" } else { "GITHUB_TOKEN" }
                ),
            ),
            2 => (
                "supervisor",
                "spawned",
                format!("\"req\":{req},\"slot\":{req},\"pid\":{}", 1000 + req),
            ),
            3 => ("supervisor", "exited", format!("\"req\":{req},\"status\":0")),
            _ => (
                "broker",
                "outcome",
                format!(
                    "\"req\":{req},\"end\":\"exited\",\"status\":0,\"wall_us\":1500,\"user_us\":700,\"system_us\":300,\
                     \"max_rss_kib\":2048,\"stdout_bytes\":12,\"stderr_bytes\":0,\"output_cut\":false,\"masked\":0"
                ),
            ),
        },
    }
}

impl Built {
    pub fn new(shape: Shape) -> Self {
        let Shape { records, checkpoint, epoch, segment, origin } = shape;
        assert!(records % 4 == 2, "a session of whole commands");
        let mut chain = Chain::new(State::default(), key(origin, 0), &session(origin));
        let mut files = vec![Vec::new()];
        let mut notes = Vec::new();
        let mut tick = 0;
        let stamp = |tick: &mut u64| {
            *tick += 1;
            clock(*tick)
        };
        let push = |files: &mut Vec<Vec<Vec<u8>>>, line: String| {
            files.last_mut().unwrap().push((line + "\n").into_bytes());
        };
        let mut seals = Vec::new();
        let seal = |chain: &mut Chain,
                    files: &mut Vec<Vec<Vec<u8>>>,
                    notes: &mut Vec<Checkpoint>,
                    why,
                    (time, mono_us): (String, u64)| {
            let next = key(origin, chain.state().epoch + 1);
            let seal = chain.seal(Stamp { time: &time, mono_us }, why, &next);
            notes.push(Checkpoint::parse(&seal.note).unwrap());
            let length: usize = files.last().unwrap().iter().map(Vec::len).sum();
            let file = KeyFile {
                key: next.public().clone(),
                state: seal.state.clone(),
                segment: files.len() as u32,
                end: (length + seal.line.len() + 1) as u64,
                seal: Some(seal.line.clone()),
            };
            push(files, seal.line.clone());
            chain.commit(seal, next);
            file
        };
        let (time, mono_us) = stamp(&mut tick);
        push(&mut files, chain.head(Stamp { time: &time, mono_us }, 1));
        let (time, mono_us) = stamp(&mut tick);
        let opened = "\"boot\":\"b\",\"recorder\":\"0.1.0\"";
        push(&mut files, chain.line(Stamp { time: &time, mono_us }, "recorder", "opened", opened));
        for n in 0..records {
            let (writer, name, fields) = event(n, records - 1);
            let (time, mono_us) = stamp(&mut tick);
            push(&mut files, chain.line(Stamp { time: &time, mono_us }, writer, name, &fields));
            if chain.uncovered() + 1 >= checkpoint {
                let (time, mono_us) = stamp(&mut tick);
                let (line, note) = chain.checkpoint(Stamp { time: &time, mono_us });
                notes.push(Checkpoint::parse(&note).unwrap());
                push(&mut files, line);
            }
            if files.last().unwrap().len() as u64 >= segment {
                seals.push(seal(
                    &mut chain,
                    &mut files,
                    &mut notes,
                    Why::Segment,
                    stamp(&mut tick),
                ));
                files.push(Vec::new());
                let (time, mono_us) = stamp(&mut tick);
                let number = files.len() as u32;
                push(&mut files, chain.head(Stamp { time: &time, mono_us }, number));
            } else if chain.unsealed() >= epoch {
                seals.push(seal(&mut chain, &mut files, &mut notes, Why::Size, stamp(&mut tick)));
            }
        }
        let key_file = seal(&mut chain, &mut files, &mut notes, Why::End, stamp(&mut tick));
        let first_key = key(origin, 0).public().clone();
        let epoch = chain.state().epoch;
        seals.push(key_file.clone());
        Self { files, key_file, seals, first_key, notes, epoch, origin }
    }

    pub fn evidence(&self) -> Evidence {
        Evidence {
            first_key: Some(self.first_key.clone()),
            witnessed: self.notes.clone(),
            key_file: Some(self.key_file.clone()),
        }
    }

    /// What an operator has who has nothing but the first key.
    pub fn key_only(&self) -> Evidence {
        Evidence { first_key: Some(self.first_key.clone()), ..Evidence::default() }
    }

    pub fn segments(&self) -> Vec<Segment> {
        segments(&self.files)
    }

    /// All lines, whichever file they are in.
    pub fn lines(&self) -> Vec<Vec<u8>> {
        self.files.concat()
    }

    /// File and place in it of the n-th line, from 0.
    pub fn place(&self, n: usize) -> (usize, usize) {
        let mut n = n;
        for (file, lines) in self.files.iter().enumerate() {
            if n < lines.len() {
                return (file, n);
            }
            n -= lines.len();
        }
        panic!("no such line")
    }

    pub fn verify(&self, evidence: &Evidence) -> Report {
        verify(&self.segments(), evidence, 1).unwrap()
    }
}

pub fn segments(files: &[Vec<Vec<u8>>]) -> Vec<Segment> {
    let last = files.len() - 1;
    files.iter().enumerate().map(|(at, lines)| segment(at, at == last, lines.concat())).collect()
}

pub fn segment(at: usize, is_open: bool, bytes: Vec<u8>) -> Segment {
    let number = at as u32 + 1;
    let name = if is_open { Name::Open } else { Name::Closed { number, packed: false } };
    Segment { name, source: Source::Bytes(Arc::from(bytes)) }
}

/// The words for what was found, each once.
pub fn named(findings: &[Finding]) -> Vec<&'static str> {
    let mut words: Vec<_> = findings.iter().map(|finding| finding.tamper.as_str()).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// Makes the chain anew, as somebody can who needs no key: numbers, links, the
/// trees in files' first lines. Checkpoints are signed where `signer` has the
/// key of their epoch; the others keep their notes.
pub fn rechained(
    files: &[Vec<Vec<u8>>],
    signer: impl Fn(u64) -> Option<SignKey>,
) -> Vec<Vec<Vec<u8>>> {
    let mut state = State::default();
    let one = |bytes: &Vec<u8>, state: &mut State| {
        let text = std::str::from_utf8(bytes).unwrap().trim_end();
        let line = Line::parse(text.as_bytes()).unwrap();
        let mut fields = line.fields.to_owned();
        if line.event == "segment" {
            let peaks: Vec<String> =
                state.tree.peaks().iter().map(|peak| format!("\"{}\"", hex(peak))).collect();
            let at = fields.find("\"tree\":").unwrap();
            fields.truncate(at);
            fields += &format!("\"tree\":[{}]", peaks.join(","));
        }
        let comma = if fields.is_empty() { "" } else { "," };
        let open = format!(
            "{{\"v\":1,\"seq\":{},\"time\":\"{}\",\"mono_us\":{},\"session\":\"{}\",\"writer\":\"{}\",\
             \"event\":\"{}\"{comma}{fields},\"prev\":\"{}\"",
            state.tree.size() + 1,
            line.time,
            line.mono_us,
            line.session,
            line.writer,
            line.event,
            hex(&state.prev),
        );
        state.prev = leaf_hash(&[open.as_bytes(), b"}"]);
        state.tree.push(state.prev);
        let note = line.note().map(|note| {
            signer(line.number("epoch").unwrap())
                .map_or(note, |key| key.sign(state.tree.size(), &state.tree.root()))
        });
        let note = note
            .map_or(String::new(), |note| format!(",\"note\":{}", serde_json::Value::from(note)));
        format!("{open}{note}}}\n").into_bytes()
    };
    files.iter().map(|lines| lines.iter().map(|line| one(line, &mut state)).collect()).collect()
}

/// The line with a text in the place of another.
pub fn edited(line: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = std::str::from_utf8(line).unwrap();
    assert!(text.contains(from), "{text}");
    text.replacen(from, to, 1).into_bytes()
}
