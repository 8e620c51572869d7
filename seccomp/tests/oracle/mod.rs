//! A second reading of the TOML, slow and naive, that shares no code with the build: what the programs must equal.

use std::{collections::BTreeMap, fs, path::Path};

use strongroom_seccomp::{Net, Unix, spec::Verdict};
use toml::{Table, Value};

pub struct Oracle {
    constants: BTreeMap<String, u32>,
    numbers: BTreeMap<String, u32>,
    lists: BTreeMap<&'static str, Table>,
    /// What a list writes of a number: under which heading, and the entry.
    entries: BTreeMap<(&'static str, u32), (&'static str, Value)>,
}

fn load(path: &str) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(path).unwrap().parse().unwrap()
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect()
}

fn verdict(word: &str) -> Verdict {
    match word {
        "allow" => Verdict::Allow,
        "kill" => Verdict::Kill,
        "notify" => Verdict::Notify,
        "EPERM" => Verdict::Errno(1),
        "ENOTTY" => Verdict::Errno(25),
        "ENOSYS" => Verdict::Errno(38),
        "EOPNOTSUPP" => Verdict::Errno(95),
        "EAFNOSUPPORT" => Verdict::Errno(97),
        _ => panic!("{word}"),
    }
}

pub const LISTS: [&str; 7] = ["standard", "setup", "last", "deputy", "never", "broker", "recorder"];

fn index(
    lists: &BTreeMap<&'static str, Table>,
    numbers: &BTreeMap<String, u32>,
) -> BTreeMap<(&'static str, u32), (&'static str, Value)> {
    let mut entries = BTreeMap::new();
    for (list, table) in lists {
        for kind in ["allow", "refuse", "rule"] {
            for entry in table.get(kind).map_or(&vec![], |v| v.as_array().unwrap()) {
                for number in words(&entry["names"]).iter().filter_map(|n| numbers.get(*n)) {
                    entries.insert((*list, *number), (kind, entry.clone()));
                }
            }
        }
    }
    entries
}

impl Oracle {
    pub fn read() -> Self {
        let int = |(k, v): (String, Value)| (k, u32::try_from(v.as_integer().unwrap()).unwrap());
        let constants = load("../policies/seccomp/constants.toml")
            .into_iter()
            .flat_map(|(_, group)| group.as_table().unwrap().clone())
            .map(int)
            .collect();
        let numbers: BTreeMap<_, _> = load("arch/x86_64.toml")["numbers"]
            .as_table()
            .unwrap()
            .clone()
            .into_iter()
            .map(int)
            .collect();
        let lists: BTreeMap<_, _> =
            LISTS.iter().map(|n| (*n, load(&format!("../policies/seccomp/{n}.toml")))).collect();
        let entries = index(&lists, &numbers);
        Self { constants, numbers, lists, entries }
    }

    /// What a list says of a call whose architecture is right. `None`: `setup` has nothing to say.
    fn says(&self, list: &str, net: Net, unix: Unix, nr: u32, args: &[u64; 6]) -> Option<Verdict> {
        let default = |key: &str| {
            let word = self.lists[list].get(key);
            word.map(|v| verdict(v.as_str().unwrap()))
        };
        let Some((kind, entry)) = self.entries.get(&(list, nr)) else {
            let known = self.numbers.values().any(|n| *n == nr);
            return default(if known { "unlisted" } else { "unknown" });
        };
        match *kind {
            "allow" => Some(Verdict::Allow),
            "refuse" => Some(verdict(entry["with"].as_str().unwrap())),
            _ => self.rule(entry, net, unix, args),
        }
    }

    fn rule(&self, rule: &Value, net: Net, unix: Unix, args: &[u64; 6]) -> Option<Verdict> {
        for case in rule["case"].as_array().unwrap() {
            let marked = |key: &str, here: String| {
                case.get(key).is_none_or(|v| words(v).contains(&here.to_lowercase().as_str()))
            };
            let variant = marked("net", format!("{net:?}")) && marked("unix", format!("{unix:?}"));
            if variant
                && case["when"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|w| self.holds(w, &rule["args"], args))
            {
                return Some(
                    case.get("then").map_or(Verdict::Allow, |v| verdict(v.as_str().unwrap())),
                );
            }
        }
        rule.get("else").map(|v| verdict(v.as_str().unwrap()))
    }

    fn holds(&self, when: &Value, names: &Value, args: &[u64; 6]) -> bool {
        let name = when["arg"].as_str().unwrap();
        let full = args[words(names).iter().position(|n| *n == name).unwrap()];
        let low = full % (1 << 32);
        let sum = |key: &str| {
            when.get(key)
                .map(|v| words(v).iter().fold(0, |all, n| all | u64::from(self.constants[*n])))
        };
        if when.get("null").is_some() {
            return full == 0;
        }
        if when.get("high_zero").is_some() {
            return full < 1 << 32;
        }
        if let Some(bits) = sum("none_of") {
            return low & bits == 0;
        }
        let low = sum("only").map_or(low, |bits| low & bits);
        let low = sum("ignore").map_or(low, |bits| low & !bits);
        words(&when["in"]).iter().any(|n| u64::from(self.constants[*n]) == low)
    }

    /// Architecture and x32, then the list.
    pub fn list(
        &self,
        list: &str,
        net: Net,
        unix: Unix,
        arch: u32,
        nr: u32,
        args: &[u64; 6],
    ) -> Verdict {
        if arch != 0xc000_003e || nr >= 0x4000_0000 {
            return Verdict::Kill;
        }
        self.says(list, net, unix, nr, args).unwrap()
    }

    /// `standard`, but that openat2 works and a listener is no reason to refuse seccomp.
    pub fn worker(&self, net: Net, unix: Unix, arch: u32, nr: u32, args: &[u64; 6]) -> Verdict {
        let standard = |args| self.list("standard", net, unix, arch, nr, args);
        if standard(args) == Verdict::Kill {
            return Verdict::Kill;
        }
        if nr == self.numbers["openat2"] {
            return Verdict::Allow;
        }
        let mut args = *args;
        if nr == self.numbers["seccomp"] {
            args[1] &= !8;
        }
        standard(&args)
    }

    /// `deputy` and `last`, which have no call in common.
    pub fn deputy(&self, arch: u32, nr: u32, args: &[u64; 6]) -> Verdict {
        let list = |name| self.list(name, Net::None, Unix::None, arch, nr, args);
        match list("last") {
            Verdict::Allow => list("deputy"),
            refused => refused,
        }
    }

    /// What the worker may, and what `setup` allows.
    pub fn base(&self, net: Net, unix: Unix, arch: u32, nr: u32, args: &[u64; 6]) -> Verdict {
        let standard = self.worker(net, unix, arch, nr, args);
        match self.says("setup", net, unix, nr, args) {
            Some(Verdict::Allow) if standard != Verdict::Kill => Verdict::Allow,
            _ => standard,
        }
    }

    /// Argument values worth trying for this call: around every constant of every rule that names it, in any list.
    pub fn edges(&self, nr: u32) -> Vec<[u64; 6]> {
        let mut values = [const { Vec::new() }; 6];
        let known = self.numbers.iter().find(|(_, n)| **n == nr).map(|(name, _)| name.as_str());
        for list in self.lists.values() {
            for rule in list.get("rule").map_or(&vec![], |v| v.as_array().unwrap()) {
                if !words(&rule["names"]).iter().any(|n| Some(*n) == known) {
                    continue;
                }
                for when in rule["case"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .flat_map(|c| c["when"].as_array().unwrap())
                {
                    let arg = words(&rule["args"])
                        .iter()
                        .position(|n| Some(*n) == when["arg"].as_str())
                        .unwrap();
                    for key in ["in", "only", "ignore", "none_of"] {
                        for name in when.get(key).map_or(vec![], words) {
                            let v = u64::from(self.constants[name]);
                            values[arg].extend([v, v ^ 1, v ^ 0x800, v ^ 0x8_0000, v | 1 << 32]);
                        }
                    }
                    values[arg].extend([0, 1, u64::MAX, u64::from(u32::MAX), 1 << 32, 1 << 63]);
                }
            }
        }
        let mut all = vec![[0; 6]];
        for (arg, choices) in values.iter_mut().enumerate() {
            choices.sort_unstable();
            choices.dedup();
            if !choices.is_empty() {
                all = choices
                    .iter()
                    .flat_map(|v| {
                        all.iter().map(move |args| {
                            let mut args = *args;
                            args[arg] = *v;
                            args
                        })
                    })
                    .collect();
            }
        }
        all.extend([[u64::MAX; 6], [1; 6], [0x8000_0000; 6]]);
        all
    }
}
