//! Many documents with many values, each looked at by a parser.

use std::collections::BTreeMap;
use std::io::Write as _;

use strongroom_placeholder::Problem;

use crate::document::{Document, render, word};
use crate::reader::Leaves;
use crate::templates::Make;
use crate::values::{Random, value};

/// Texts made of each document.
const PER_DOCUMENT: usize = 8;

/// Texts, or values, for each parser.
pub fn wanted() -> usize {
    if std::env::var_os("STRONGROOM_MANY").is_some() { 100_000 } else { 2_000 }
}

/// Other numbers for other names, the same in each run.
pub fn random(name: &str) -> Random {
    let seed = std::env::var("STRONGROOM_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    Random::new(name.bytes().fold(seed, |seed: u64, b| seed.wrapping_mul(257) + u64::from(b)))
}

/// Not through the test harness, which keeps what a passing test prints.
pub fn report(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Reads texts, the first of which is one with harmless words.
pub type Read<'a> = &'a mut dyn FnMut(&[Vec<u8>]) -> Vec<Leaves>;

/// A run with one parser.
pub struct Trial<'a> {
    file: &'static str,
    filters: &'static [&'static str],
    read: Read<'a>,
    random: Random,
    /// An error of the parser's own about a text with a value in it that is
    /// no mistake of ours, because it is loud.
    pub loud: &'static str,
    tally: Tally,
}

/// What came of it.
#[derive(Default)]
struct Tally {
    documents: usize,
    exact: usize,
    refused: usize,
    loud: usize,
    /// Documents with a placeholder where none may stand.
    misplaced: BTreeMap<String, usize>,
    /// Documents that the parser refuses in any case.
    invalid: Vec<String>,
}

impl<'a> Trial<'a> {
    pub fn new(file: &'static str, filters: &'static [&'static str], read: Read<'a>) -> Self {
        let random = random(file);
        Self { file, filters, read, random, loud: "", tally: Tally::default() }
    }

    /// Documents as they are made, until there were enough texts.
    pub fn documents(&mut self, make: Make) {
        while self.tally.exact + self.tally.refused < wanted() {
            let text = make(&mut self.random);
            if text.contains('§') {
                self.examine(&text);
            }
        }
    }

    /// Documents with a few characters deleted, repeated or put in.
    pub fn changed_documents(&mut self, make: Make) {
        while self.tally.exact + self.tally.refused < wanted() / 2 {
            let mut text: Vec<char> = make(&mut self.random).chars().collect();
            for _ in 0..=self.random.below(3) {
                change(&mut self.random, &mut text);
            }
            let text: String = text.into_iter().collect();
            self.examine(&text);
        }
    }

    fn examine(&mut self, text: &str) {
        let document = Document::new(&mut self.random, text, self.file, self.filters);
        let count = document.count();
        let template = match document.parse() {
            Ok(template) => template,
            Err(error) => {
                *self.tally.misplaced.entry(format!("{:?}", error.problem)).or_default() += 1;
                return;
            }
        };
        let words: Vec<Vec<u8>> = (0..count).map(word).collect();
        let Ok(harmless) = render(&template, &words) else {
            panic!("harmless words are refused in {}", document.shown());
        };
        let mut texts = vec![harmless.as_bytes().to_vec()];
        let mut tried = Vec::new();
        for _ in 0..PER_DOCUMENT {
            let values = self.values(&words);
            match render(&template, &values) {
                Ok(text) => {
                    texts.push(text.as_bytes().to_vec());
                    tried.push(values);
                }
                Err(error) => {
                    assert_eq!(error.problem, Problem::Unfit, "{error}\n{}", document.shown());
                    self.tally.refused += 1;
                }
            }
        }
        let mut found = (self.read)(&texts).into_iter();
        let baseline = found.next().unwrap();
        if let Some(error) = baseline.first().filter(|leaf| leaf.starts_with(b"!")) {
            let error = error.escape_ascii();
            self.tally.invalid.push(format!("{}\n{error}", document.shown()));
            return;
        }
        self.tally.documents += 1;
        for ((values, found), text) in tried.iter().zip(found).zip(&texts[1..]) {
            if !self.loud.is_empty() && found[0].starts_with(self.loud.as_bytes()) {
                self.tally.loud += 1;
                continue;
            }
            let expected = document.replaced(&baseline, values);
            assert!(
                found == expected,
                "{}\nvalues {:#?}\ngives\n{}\nread as {:#?}\nnot as {:#?}",
                document.shown(),
                escaped(values),
                text.escape_ascii(),
                escaped(&found),
                escaped(&expected)
            );
            self.tally.exact += 1;
        }
    }

    /// One of them is hostile, or all are.
    fn values(&mut self, words: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let only = self.random.below(words.len() + 1);
        let all = only == words.len();
        let mut one = |(n, word): (usize, &Vec<u8>)| {
            if all || n == only { value(&mut self.random) } else { word.clone() }
        };
        words.iter().enumerate().map(&mut one).collect()
    }

    /// Every document was valid, and most values could be used.
    pub fn end(&mut self, name: &str) {
        let tally = std::mem::take(&mut self.tally);
        if let Some(invalid) = tally.invalid.first() {
            panic!("{name} refuses {invalid}");
        }
        assert!(tally.exact * 2 > tally.refused, "{name}: too much is refused to be of use");
        tally.report(name);
    }

    pub fn end_of_changed(&mut self, name: &str) {
        std::mem::take(&mut self.tally).report(&format!("{name}, changed documents"));
    }
}

impl Tally {
    fn report(&self, name: &str) {
        let Self { documents, exact, refused, loud, misplaced, invalid } = self;
        let total = exact + refused + loud;
        let mut line = format!(
            "{name}: {total} texts of {documents} documents: {exact} exact, {refused} refused, 0 wrong"
        );
        if *loud > 0 {
            line += &format!(", {loud} refused by the reader");
        }
        if !misplaced.is_empty() || !invalid.is_empty() {
            line += &format!("; documents not used: {misplaced:?}, invalid {}", invalid.len());
        }
        report(&line);
    }
}

fn escaped(parts: &[Vec<u8>]) -> Vec<String> {
    parts.iter().map(|part| part.escape_ascii().to_string()).collect()
}

fn change(random: &mut Random, text: &mut Vec<char>) {
    const SPECIAL: &[char] = &[
        '\'', '"', '\\', '\n', ' ', ':', '#', '-', '[', ']', '{', '}', ',', '|', '>', '&', '*',
        '!', '%', '@', '`', '=', '<', '/', ';', '.', '$', '?', '\t', '\r', '0', 'a', '~',
        '\u{2028}', '§',
    ];
    let from = random.below(text.len().max(1));
    let at = random.below(text.len() + 1);
    match random.below(4) {
        0 if text.len() > 1 => drop(text.remove(from)),
        1 if !text.is_empty() => {
            let end = (from + 1 + random.below(6)).min(text.len());
            let piece = text[from..end].to_vec();
            text.splice(at..at, piece);
        }
        _ => text.insert(at, SPECIAL[random.below(SPECIAL.len())]),
    }
}
