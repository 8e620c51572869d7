//! Random values, most of them hostile to some format.

/// SplitMix64, Steele, Lea and Flood 2014: small, and the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// What looks like something else to some reader.
const LOOKALIKES: &[&str] = &[
    "yes",
    "no",
    "on",
    "off",
    "y",
    "n",
    "Null",
    "null",
    "~",
    "true",
    "FALSE",
    "1e3",
    "0x10",
    "0o7",
    "1_000",
    "1:30",
    ".inf",
    "-.INF",
    ".nan",
    "2001-12-14",
    "=",
    "<<",
    "-",
    "---",
    "...",
    "?",
    ":",
    "123",
    "-1",
    "+1.5",
    "''",
    "\"\"",
    "[]",
    "{}",
    "[a]",
    "{a: b}",
    "!tag",
    "&anchor",
    "*alias",
    "|",
    ">",
    "%TAG",
    "@at",
    "`tick`",
    "#comment",
    "; comment",
    "key = value",
    "KEY=value",
    "key: value",
    "[section]",
    "default",
    "machine",
    "login",
    "macdef init",
    "export X=1",
    "EOF",
    "$HOME",
    "${HOME}",
    "$(id)",
    "`id`",
    "~root",
    "*",
    "true # no",
    "null ",
    " 1",
];

/// What breaks out of something.
const SNIPPETS: &[&str] = &[
    "'",
    "\"",
    "\\",
    "\n",
    "\r\n",
    "\r",
    "\t",
    " ",
    "  ",
    "$",
    "%",
    "#",
    ";",
    ":",
    ": ",
    " #",
    "=",
    ",",
    "&",
    "*",
    "!",
    "|",
    ">",
    "<",
    "@",
    "`",
    "?",
    "~",
    "^",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "-",
    "${credentials.B}",
    "$${credentials.B|raw}",
    "${HOME}",
    "$(id)",
    "$((1))",
    "`id`",
    "\\n",
    "\\u0041",
    "\\'",
    "\\\"",
    "\\\\",
    "'''",
    "\"\"\"",
    "''",
    "]]>",
    "-->",
    "<!--",
    "&amp;",
    "&#10;",
    "<a>",
    "</a>",
    "%(here)s",
    "%%",
    "%41",
    "$$",
    "${a:b}",
    "\nINJECTED=1",
    "\nINJECTED = 1\n",
    "\n[injected]\n",
    "\n  injected: 1",
    "\"\ninjected = 1\n",
    "\nEOF\n",
    "'; INJECTED=1; '",
    "\", \"injected\": \"",
    "\u{85}",
    "\u{2028}",
    "\u{2029}",
    "\u{feff}",
    "\u{a0}",
    "\u{fffe}",
    "é",
    "日本語",
    "😀",
    "\u{202e}",
    "\0",
    "\x01",
    "\x1b[0m",
    "\x7f",
    "\u{9f}",
    "abc",
    "Zq",
    "0",
    "9",
];

fn ascii(random: &mut Random, length: usize) -> Vec<u8> {
    (0..length).map(|_| b' ' + random.below(95) as u8).collect()
}

fn token(random: &mut Random) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./+=";
    let length = 1 + random.below(40);
    (0..length).map(|_| alphabet[random.below(alphabet.len())]).collect()
}

fn characters(random: &mut Random) -> Vec<u8> {
    let length = 1 + random.below(20);
    let text: String = (0..length)
        .filter_map(|_| {
            let below = [0x100, 0x3000, 0x1_0000, 0x11_0000][random.below(4)];
            char::from_u32(random.below(below) as u32)
        })
        .collect();
    text.into_bytes()
}

fn pem(random: &mut Random, lines: usize) -> Vec<u8> {
    let mut text = b"-----BEGIN PRIVATE KEY-----\n".to_vec();
    for _ in 0..lines {
        text.extend((0..64).map(|_| b"ABCDwxyz0189+/"[random.below(14)]));
        text.push(b'\n');
    }
    text.extend_from_slice(b"-----END PRIVATE KEY-----");
    if random.one_in(2) {
        text.push(b'\n');
    }
    text
}

/// A value; never an empty one.
pub fn value(random: &mut Random) -> Vec<u8> {
    let value = any(random);
    if value.is_empty() { vec![b' '] } else { value }
}

fn any(random: &mut Random) -> Vec<u8> {
    match random.below(100) {
        0..15 => token(random),
        15..35 => {
            let length = random.below(40);
            ascii(random, length)
        }
        35..65 => {
            let count = 1 + random.below(6);
            (0..count).flat_map(|_| random.pick(SNIPPETS).bytes()).collect()
        }
        65..80 => random.pick(LOOKALIKES).as_bytes().to_vec(),
        80..85 => characters(random),
        85..90 => {
            let mut value = token(random);
            value.insert(random.below(value.len() + 1), random.below(256) as u8);
            value
        }
        90..94 => {
            let inner = ascii(random, 6);
            let blank = random.pick(&[" ", "\t", "  ", "\n", "\u{a0}"]);
            let (before, after) = if random.one_in(2) { (blank, "") } else { ("", blank) };
            [before.as_bytes(), &inner, after.as_bytes()].concat()
        }
        94..96 => (0..random.below(16)).map(|_| random.below(256) as u8).collect(),
        96..98 => {
            let mut value = ascii(random, 20);
            value[random.below(20)] = 0;
            value
        }
        _ if random.one_in(40) => pem(random, 1000),
        _ => {
            let lines = random.below(6);
            pem(random, lines)
        }
    }
}
