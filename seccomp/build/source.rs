//! TOML to model, refusing whatever a reviewer would have to guess at.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde::{Deserialize, de::DeserializeOwned};

use crate::model::{Arch, Body, Case, Condition, Entry, List, Test, Verdict};

/// Constants by name, over all groups.
pub type Constants = BTreeMap<String, u32>;

/// Errno values that a list may answer with, <asm-generic/errno-base.h> and <asm-generic/errno.h>.
const ERRNOS: &[(&str, u16)] = &[
    ("EPERM", 1),
    ("EACCES", 13),
    ("ENOTTY", 25),
    ("ENOSYS", 38),
    ("EOPNOTSUPP", 95),
    ("EAFNOSUPPORT", 97),
];
/// In the order of `Net` and `Unix` in lib.rs.
const NETS: &[&str] = &["none", "loopback", "open"];
const UNIXES: &[&str] = &["all", "seqpacket", "none"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchFile {
    audit_arch: u32,
    foreign_abi: Option<u32>,
    absent: Vec<String>,
    numbers: BTreeMap<String, u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListFile {
    list: String,
    purpose: String,
    unlisted: Option<String>,
    unknown: Option<String>,
    #[serde(default)]
    allow: Vec<Allow>,
    #[serde(default)]
    refuse: Vec<Refuse>,
    #[serde(default)]
    rule: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Allow {
    why: String,
    names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refuse {
    with: String,
    why: String,
    names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    names: Vec<String>,
    args: Vec<String>,
    #[serde(rename = "else")]
    otherwise: Option<String>,
    why: String,
    case: Vec<RuleCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleCase {
    #[serde(default)]
    why: String,
    net: Option<Vec<String>>,
    unix: Option<Vec<String>>,
    when: Vec<When>,
    then: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    arg: String,
    #[serde(rename = "in")]
    values: Option<Vec<String>>,
    only: Option<Vec<String>>,
    ignore: Option<Vec<String>>,
    none_of: Option<Vec<String>>,
    high_zero: Option<bool>,
    null: Option<bool>,
}

pub fn arch(path: &Path) -> Result<Arch, String> {
    let file: ArchFile = parse(path)?;
    let distinct: BTreeSet<_> = file.numbers.values().collect();
    if distinct.len() != file.numbers.len() {
        return Err(format!("{}: two names for one number", path.display()));
    }
    if let Some(name) = file.absent.iter().find(|n| file.numbers.contains_key(*n)) {
        return Err(format!("{}: {name} is absent and has a number", path.display()));
    }
    Ok(Arch {
        audit: file.audit_arch,
        foreign_abi: file.foreign_abi,
        absent: file.absent,
        numbers: file.numbers,
    })
}

pub fn constants(path: &Path) -> Result<Constants, String> {
    let groups: BTreeMap<String, BTreeMap<String, u32>> = parse(path)?;
    let mut all = Constants::new();
    for (name, value) in groups.into_values().flatten() {
        if all.insert(name.clone(), value).is_some() {
            return Err(format!("{}: {name} is defined twice", path.display()));
        }
    }
    Ok(all)
}

pub fn list(folder: &Path, name: &str, arch: &Arch, constants: &Constants) -> Result<List, String> {
    let path = folder.join(format!("{name}.toml"));
    let file: ListFile = parse(&path)?;
    resolve(file, name, arch, constants).map_err(|e| format!("{name}.toml: {e}"))
}

fn parse<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    toml::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

fn resolve(file: ListFile, name: &str, arch: &Arch, constants: &Constants) -> Result<List, String> {
    if file.list != name {
        return Err(format!("calls itself {:?}", file.list));
    }
    // Only `setup` adds to another list; every other one must say what it does with the rest.
    let additive = name == "setup";
    let default = |given: &Option<String>, key: &str| match given {
        Some(word) if !additive => verdict(word),
        None if additive => Ok(Verdict::Kill),
        Some(_) => Err(format!("{key} has no meaning here")),
        None => Err(format!("{key} is missing")),
    };
    let unlisted = default(&file.unlisted, "unlisted")?;
    let unknown = default(&file.unknown, "unknown")?;

    let mut seen = BTreeSet::new();
    let mut entry = |names: Vec<String>, why: String, body: Body| -> Result<Entry, String> {
        if names.is_empty() || why.trim().is_empty() {
            return Err(format!("entry {names:?} ({why:?}) needs both names and a why"));
        }
        let mut numbers = Vec::new();
        for name in &names {
            if !seen.insert(name.clone()) {
                return Err(format!("{name} is listed twice"));
            }
            match arch.numbers.get(name) {
                Some(number) => numbers.push(*number),
                None if arch.absent.contains(name) => {}
                None => return Err(format!("{name} is not a system call this release knows")),
            }
        }
        Ok(Entry { names, numbers, why, body })
    };

    let mut entries = Vec::new();
    for e in file.allow {
        entries.push(entry(e.names, e.why, Body::Plain(Verdict::Allow))?);
    }
    for e in file.rule {
        let body = rule(&e, additive, constants).map_err(|m| format!("{:?}: {m}", e.names))?;
        entries.push(entry(e.names, e.why, body)?);
    }
    for e in file.refuse {
        let with = verdict(&e.with)?;
        if with == Verdict::Allow || additive {
            return Err(format!("{:?} refuses with {:?}", e.names, e.with));
        }
        entries.push(entry(e.names, e.why, Body::Plain(with))?);
    }
    Ok(List { name: file.list, purpose: file.purpose, unlisted, unknown, entries })
}

fn rule(rule: &Rule, additive: bool, constants: &Constants) -> Result<Body, String> {
    let otherwise = match &rule.otherwise {
        Some(word) if !additive => verdict(word)?,
        None if additive => Verdict::Kill,
        Some(_) => return Err("the rule in `standard` gives the else".into()),
        None => return Err("no else".into()),
    };
    let mut cases = Vec::new();
    for case in &rule.case {
        let when = case
            .when
            .iter()
            .map(|w| condition(w, &rule.args, constants))
            .collect::<Result<Vec<_>, _>>()?;
        let then = case.then.as_deref().map_or(Ok(Verdict::Allow), verdict)?;
        if when.is_empty() || (additive && then != Verdict::Allow) {
            return Err("a case needs conditions, and in `setup` it can only allow".into());
        }
        let (net, unix) = (variants(&case.net, NETS)?, variants(&case.unix, UNIXES)?);
        cases.push(Case { why: case.why.clone(), net, unix, when, then });
    }
    Ok(Body::Rule { cases, otherwise })
}

fn condition(when: &When, args: &[String], constants: &Constants) -> Result<Condition, String> {
    let name = &when.arg;
    let arg = args.iter().position(|a| a == name).filter(|i| *i < 6);
    let arg = arg.ok_or_else(|| format!("{name} is not one of the first six args"))?;
    let value = |n: &String| {
        constants.get(n).copied().ok_or_else(|| format!("{n} is not in constants.toml"))
    };
    let bits =
        |names: &[String]| names.iter().try_fold(0, |all, n| Ok::<_, String>(all | value(n)?));
    if when.values.is_none() && (when.only.is_some() || when.ignore.is_some()) {
        return Err(format!("{name}: only and ignore go with `in`"));
    }
    let (test, text) = match (&when.values, &when.none_of, when.high_zero, when.null) {
        (Some(values), None, None, None) => {
            let (mask, seen) = match (&when.only, &when.ignore) {
                (None, None) => (u32::MAX, name.clone()),
                (Some(b), None) => (bits(b)?, format!("{name} & ({})", b.join("|"))),
                (None, Some(b)) => (!bits(b)?, format!("{name} & ~({})", b.join("|"))),
                (Some(_), Some(_)) => {
                    return Err(format!("{name}: only and ignore exclude each other"));
                }
            };
            let set = values.iter().map(value).collect::<Result<Vec<_>, _>>()?;
            let distinct: BTreeSet<_> = set.iter().collect();
            let outside = set.iter().any(|v| v & !mask != 0);
            if set.is_empty() || distinct.len() != set.len() || outside {
                return Err(format!(
                    "{name}: `in` is empty, repeats itself or lies outside its mask"
                ));
            }
            let text = format!("{seen} is {}", values.join(" or "));
            (Test::LowIn { mask, values: set }, text)
        }
        (None, Some(b), None, None) => {
            let test = Test::LowIn { mask: bits(b)?, values: vec![0] };
            (test, format!("{name} has none of {}", b.join(", ")))
        }
        (None, None, Some(true), None) => {
            (Test::HighZero, format!("bits 32-63 of {name} are clear"))
        }
        (None, None, None, Some(true)) => (Test::Null, format!("{name} is null")),
        _ => {
            return Err(format!(
                "{name}: exactly one of in, none_of, high_zero = true, null = true"
            ));
        }
    };
    Ok(Condition { arg, test, text })
}

fn variants(given: &Option<Vec<String>>, known: &[&str]) -> Result<Vec<usize>, String> {
    let Some(names) = given else {
        return Ok((0..known.len()).collect());
    };
    let place = |n: &String| {
        known.iter().position(|k| k == n).ok_or_else(|| format!("{n:?} is not one of {known:?}"))
    };
    names.iter().map(place).collect()
}

fn verdict(word: &str) -> Result<Verdict, String> {
    match word {
        "allow" => Ok(Verdict::Allow),
        "kill" => Ok(Verdict::Kill),
        "notify" => Ok(Verdict::Notify),
        _ => match ERRNOS.iter().find(|(name, _)| *name == word) {
            Some((_, errno)) => Ok(Verdict::Errno(*errno)),
            None => Err(format!("{word:?} is no verdict")),
        },
    }
}
