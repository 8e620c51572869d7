//! From a drawing back to the action object: it sees lines of text and
//! nothing else.

use strongroom_protocol::action::{ActionObject, Deed, Exec, Exhibit, Files, PlainFile};
use strongroom_protocol::plan::Network;
use strongroom_protocol::types::{
    ApprovalId, Arg, Argv, CredentialName, List, Name, PathBytes, Piece, Reason,
};

const LABEL: usize = 14;
const BAR: usize = 22;

/// A label with its number, and what stands beside it.
#[derive(Debug)]
struct Row {
    label: String,
    /// Facts by name, in their order.
    facts: Vec<(String, String)>,
    /// The text: its lines, and whether each goes on with the one before.
    text: Vec<(bool, String)>,
    /// Its length, as stated.
    bytes: usize,
}

impl Row {
    fn fact(&self, name: &str) -> &str {
        &self.facts.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("{name}: {self:?}")).1
    }

    fn has(&self, name: &str) -> bool {
        self.facts.iter().any(|(n, _)| n == name)
    }

    fn exact(&self) -> Vec<u8> {
        let written: String = self.text.iter().map(|(_, line)| line.as_str()).collect();
        assert!(self.text.iter().skip(1).all(|(goes_on, _)| *goes_on), "{self:?}");
        let inner = written.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
        self.measured(read(inner))
    }

    fn prose(&self) -> Vec<u8> {
        let mut written = String::new();
        for (i, (goes_on, line)) in self.text.iter().enumerate() {
            if i > 0 && !goes_on {
                written.push('\n');
            }
            written.push_str(line);
        }
        self.measured(read(&written))
    }

    fn measured(&self, bytes: Vec<u8>) -> Vec<u8> {
        assert_eq!(bytes.len(), self.bytes, "{self:?}");
        bytes
    }
}

/// Undoes the escapes.
pub fn read(written: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chars = written.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '␣' => ' ',
            '\\' => match chars.next().unwrap() {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'x' => {
                    let digits: String = chars.by_ref().take(2).collect();
                    bytes.push(u8::from_str_radix(&digits, 16).unwrap());
                    continue;
                }
                'u' => {
                    assert_eq!(chars.next(), Some('{'));
                    let digits: String = chars.by_ref().take_while(|c| *c != '}').collect();
                    char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap()
                }
                itself => {
                    assert!(itself == '\\' || itself == '"', "{itself:?}");
                    itself
                }
            },
            c => c,
        };
        bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    bytes
}

fn rows(drawing: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in drawing.lines() {
        let chars: Vec<char> = line.chars().collect();
        let part = |from: usize, to: usize| -> String {
            chars.iter().take(to).skip(from).collect::<String>()
        };
        let label = part(0, LABEL);
        let (label, inner) = (label.trim_end().to_owned(), label.starts_with("  "));
        if !label.is_empty() && !inner {
            let label = label.clone();
            rows.push(Row { label, facts: Vec::new(), text: Vec::new(), bytes: 0 });
        }
        let row = rows.last_mut().unwrap();
        let length = part(LABEL, BAR);
        let mark = part(BAR, BAR + 2);
        let rest = part(BAR + 2, usize::MAX);
        let stated = length.trim().strip_suffix(" B").map(|n| n.parse::<usize>().unwrap());
        match mark.as_str() {
            "│ " | "┆ " if stated.is_some() || length.trim().is_empty() => {
                row.bytes = stated.unwrap_or(row.bytes);
                row.text.push((mark == "┆ ", rest));
            }
            "! " | "┌─" | "└─" => assert!(length.trim().is_empty(), "{line:?}"),
            "  " if length.trim().is_empty() => {}
            _ => {
                let words = part(LABEL, usize::MAX);
                match words.strip_prefix("┆ ") {
                    Some(more) => row.facts.last_mut().unwrap().1.push_str(more),
                    None => {
                        let name = if inner { label.trim_start() } else { "" };
                        row.facts.push((name.to_owned(), words));
                    }
                }
            }
        }
    }
    rows
}

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    assert_eq!(hex.len(), 2 * N, "{hex}");
    std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
}

fn number(words: &str) -> u64 {
    words.split(' ').next().unwrap().parse().unwrap()
}

fn names<const N: usize>(row: &Row) -> List<CredentialName, N> {
    let names = row.facts.iter().map(|(_, words)| words.as_str()).filter(|w| *w != "none");
    List::new(names.map(|n| CredentialName::new(n).unwrap()).collect()).unwrap()
}

fn exhibit(row: &Row) -> Exhibit {
    assert!(row.has("firm") != row.has("not firm"), "{row:?}");
    Exhibit {
        path: PathBytes::new(row.exact()).unwrap(),
        digest: bytes(row.fact("sha256")),
        size: number(row.fact("size")),
        firm: row.has("firm"),
    }
}

/// Reads a whole drawing. Gives the object, and the digest it states.
pub fn parse(drawing: &str) -> (ActionObject, [u8; 32]) {
    let rows = rows(drawing);
    let all = |label: &str| -> Vec<&Row> {
        let numbered = |l: &str| {
            l.strip_prefix(label).and_then(|n| n.strip_prefix(' ')?.parse::<usize>().ok())
        };
        rows.iter().filter(|r| r.label == label || numbered(&r.label).is_some()).collect()
    };
    let maybe = |label: &str| rows.iter().find(|r| r.label == label);
    let one = |label: &str| maybe(label).unwrap_or_else(|| panic!("no {label}"));
    let prose = |label: &str| maybe(label).map(|r| Reason::new(r.prose()).unwrap());
    let asks = one("asks").fact("");
    let deed = if asks.starts_with("to run") {
        let argv = all("argument").iter().map(|r| Arg::new(r.exact()).unwrap()).collect();
        let folder = one("folder");
        Deed::Exec(Box::new(Exec {
            argv: Argv::new(argv).unwrap(),
            argv_digest: bytes(one("argv sha256").fact("")),
            cwd: (!folder.text.is_empty()).then(|| PathBytes::new(folder.exact()).unwrap()),
            profile: Name::new(one("jail").fact("")).unwrap(),
            network: *Network::ALL
                .iter()
                .find(|n| n.as_str() == one("jail").fact("network"))
                .unwrap(),
            credentials: names(one("credentials")),
            wall_ms: match one("jail").fact("time") {
                "any" => 0,
                some => {
                    let unit = some.rsplit(' ').next().unwrap();
                    number(some)
                        * [("ms", 1), ("s", 1_000), ("min", 60_000)]
                            .iter()
                            .find(|u| u.0 == unit)
                            .unwrap()
                            .1
                }
            },
            files: Files {
                program: exhibit(one("program")),
                interpreters: List::new(all("run by").into_iter().map(exhibit).collect()).unwrap(),
                named: List::new(all("file").into_iter().map(exhibit).collect()).unwrap(),
                unseen: maybe("files").map_or(0, |r| u32::try_from(number(r.fact(""))).unwrap()),
            },
        }))
    } else if asks.starts_with("to write") {
        let content = one("content");
        Deed::Plain(Box::new(PlainFile {
            path: PathBytes::new(one("file").exact()).unwrap(),
            mode: u16::from_str_radix(one("mode").fact(""), 8).ok(),
            size: u32::try_from(number(content.fact("size"))).unwrap(),
            digest: bytes(content.fact("sha256")),
            head: Piece::new(content.exact()).unwrap(),
            credentials: names(one("values of")),
        }))
    } else if asks.starts_with("to delete") {
        Deed::Delete(CredentialName::new(one("credential").fact("")).unwrap())
    } else {
        Deed::Question(prose("question").unwrap())
    };
    let object = ActionObject {
        session: bytes(one("session").fact("")),
        policy: bytes(one("policy").fact("")),
        id: ApprovalId(number(one("request").fact(""))),
        connection: number(one("connection").fact("")),
        rule: maybe("rule").map(|r| Name::new(r.fact("")).unwrap()),
        why: prose("why"),
        quorum: u8::try_from(number(one("quorum").fact(""))).unwrap(),
        deed,
        reason: prose("reason"),
    };
    (object, bytes(one("digest").fact("")))
}
