//! Credentials as people and programs see them. Never a value, never a
//! length.

use serde::Serialize;
use strongroom_api::shape::Credential;
use strongroom_protocol::channel::a::Known;
use strongroom_protocol::channel::o::{Held, Request};
use strongroom_protocol::types::CredentialName;

use super::keeper::Change;
use crate::columns::columns;
use crate::error::to_json;
use crate::operator::age;
use crate::store::now;
use crate::style::Style;

fn delivery(env: bool, file: bool) -> &'static str {
    match (env, file) {
        (true, true) => "env, file",
        (true, false) => "env",
        (false, true) => "file",
        (false, false) => "-",
    }
}

/// How long ago that was, in two units.
fn ago(when: u64, now: u64) -> String {
    match when {
        0 => "-".to_owned(),
        when => age(now.saturating_sub(when).saturating_mul(1_000)),
    }
}

/// For the operator.
pub fn held(list: &[Held], style: Style) -> String {
    held_at(list, style, now())
}

fn held_at(list: &[Held], style: Style, now: u64) -> String {
    let rows: Vec<[String; 7]> = list
        .iter()
        .map(|c| {
            let version = if c.version == 0 { "-".to_owned() } else { c.version.to_string() };
            [
                c.name.as_str().to_owned(),
                state(c.there, c.revoked).to_owned(),
                delivery(c.env, c.file).to_owned(),
                version,
                ago(c.changed, now),
                ago(c.used, now),
                c.holders.to_string(),
            ]
        })
        .collect();
    columns(["NAME", "VALUE", "DELIVERY", "VERSION", "CHANGED", "USED", "HOLDERS"], &rows, style)
}

fn state(there: bool, revoked: bool) -> &'static str {
    match (there, revoked) {
        (true, _) => "there",
        (false, true) => "revoked",
        (false, false) => "missing",
    }
}

/// For an agent.
pub fn known(list: &[Known], style: Style) -> String {
    known_at(list, style, now())
}

fn known_at(list: &[Known], style: Style, now: u64) -> String {
    let rows: Vec<[String; 5]> = list
        .iter()
        .map(|c| {
            let there = match (c.there, c.asked) {
                (true, _) => "there",
                (false, true) => "asked for",
                (false, false) => "missing",
            };
            [
                c.name.as_str().to_owned(),
                there.to_owned(),
                delivery(c.env, c.file).to_owned(),
                ago(c.changed, now),
                ago(c.used, now),
            ]
        })
        .collect();
    columns(["NAME", "VALUE", "DELIVERY", "CHANGED", "USED"], &rows, style)
}

/// What agents ask for.
pub fn requests(list: &[Request], style: Style) -> String {
    let rows: Vec<[String; 5]> = list
        .iter()
        .map(|r| {
            [
                r.id.to_string(),
                age(r.age_ms),
                r.times.to_string(),
                r.name.as_str().to_owned(),
                r.reason.display(),
            ]
        })
        .collect();
    columns(["ID", "AGE", "TIMES", "NAME", "REASON (the agent's own words)"], &rows, style)
}

/// [`held`] for programs.
pub fn held_json(list: &[Held]) -> String {
    let rows = list.iter().map(|c| HeldJson {
        name: c.name.as_str(),
        there: c.there,
        revoked: c.revoked,
        env: c.env,
        file: c.file,
        created: some(c.created),
        changed: some(c.changed),
        version: some(c.version),
        used: some(c.used),
        holders: c.holders,
    });
    to_json(&Credentials { v: 1, credentials: rows.collect::<Vec<_>>() }) + "\n"
}

/// [`known`] for programs.
pub fn known_json(list: &[Known]) -> String {
    let credentials: Vec<Credential> = list.iter().map(Into::into).collect();
    to_json(&Credentials { v: 1, credentials }) + "\n"
}

/// [`requests`] for programs.
pub fn requests_json(list: &[Request]) -> String {
    let rows = list.iter().map(|r| RequestJson {
        id: r.id,
        name: r.name.as_str(),
        reason: r.reason.display(),
        age_ms: r.age_ms,
        times: r.times,
    });
    to_json(&Requests { v: 1, requests: rows.collect() }) + "\n"
}

/// One change, for programs.
pub fn changed_json(name: &CredentialName, change: &Change) -> String {
    to_json(&Changed { v: 1, changed: ChangeJson::new(name, change) }) + "\n"
}

/// Many, for programs.
pub fn imported_json(list: &[(&CredentialName, Change)]) -> String {
    let imported = list.iter().map(|(name, change)| ChangeJson::new(name, change)).collect();
    to_json(&Imported { v: 1, imported }) + "\n"
}

#[derive(Serialize)]
struct Credentials<T> {
    v: u8,
    credentials: Vec<T>,
}

#[derive(Serialize)]
struct HeldJson<'a> {
    name: &'a str,
    there: bool,
    revoked: bool,
    env: bool,
    file: bool,
    created: Option<u64>,
    changed: Option<u64>,
    version: Option<u64>,
    used: Option<u64>,
    holders: u32,
}

#[derive(Serialize)]
struct Requests<'a> {
    v: u8,
    requests: Vec<RequestJson<'a>>,
}

#[derive(Serialize)]
struct RequestJson<'a> {
    id: u32,
    name: &'a str,
    reason: String,
    age_ms: u64,
    times: u32,
}

#[derive(Serialize)]
struct Changed<'a> {
    v: u8,
    changed: ChangeJson<'a>,
}

#[derive(Serialize)]
struct Imported<'a> {
    v: u8,
    imported: Vec<ChangeJson<'a>>,
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    name: &'a str,
    /// `null`: it is gone.
    version: Option<u64>,
    /// `null`: it is kept in memory only.
    generation: Option<u64>,
    holders: u32,
}

impl<'a> ChangeJson<'a> {
    fn new(name: &'a CredentialName, change: &Change) -> Self {
        Self {
            name: name.as_str(),
            version: some(change.version),
            generation: some(change.generation),
            holders: change.holders,
        }
    }
}

/// 0 stands for none on the wire.
fn some(number: u64) -> Option<u64> {
    (number != 0).then_some(number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use strongroom_protocol::types::Reason;

    fn name(text: &str) -> CredentialName {
        CredentialName::new(text).unwrap()
    }

    fn one(text: &str, there: bool, revoked: bool) -> Held {
        Held {
            name: name(text),
            there,
            revoked,
            env: there,
            file: revoked,
            created: 100,
            changed: if there { 940 } else { 0 },
            version: u64::from(there) * 12,
            used: 0,
            holders: 3,
        }
    }

    #[test]
    fn for_the_operator() {
        let list = [one("A", true, false), one("LONG_NAME", false, true), one("B", false, false)];
        assert_eq!(
            held_at(&list, Style::PLAIN, 1_000),
            "NAME       VALUE    DELIVERY  VERSION  CHANGED  USED  HOLDERS\n\
             A          there    env       12       1m00s    -     3\n\
             LONG_NAME  revoked  file      -        -        -     3\n\
             B          missing  -         -        -        -     3\n"
        );
        assert_eq!(
            held_json(&list[..1]),
            "{\"v\":1,\"credentials\":[{\"name\":\"A\",\"there\":true,\"revoked\":false,\"env\":true,\
             \"file\":false,\"created\":100,\"changed\":940,\"version\":12,\"used\":null,\"holders\":3}]}\n"
        );
    }

    #[test]
    fn for_an_agent() {
        let known = |text, there, asked| Known {
            name: name(text),
            there,
            env: true,
            file: true,
            changed: if there { 10 } else { 0 },
            used: 0,
            asked,
        };
        let list = [known("A", true, false), known("B", false, true), known("C", false, false)];
        assert_eq!(
            known_at(&list, Style::PLAIN, 20),
            "NAME  VALUE      DELIVERY   CHANGED  USED\n\
             A     there      env, file  10s      -\n\
             B     asked for  env, file  -        -\n\
             C     missing    env, file  -        -\n"
        );
        assert_eq!(
            known_json(&list[1..2]),
            "{\"v\":1,\"credentials\":[{\"name\":\"B\",\"there\":false,\"env\":true,\"file\":true,\
             \"changed\":null,\"used\":null,\"asked\":true}]}\n"
        );
        // A clock that went back.
        assert_eq!(ago(30, 20), "0.0s");
    }

    #[test]
    fn what_agents_ask_for() {
        let list = [Request {
            id: 7,
            name: name("A"),
            reason: Reason::new("please\x1b[2J\nrm").unwrap(),
            age_ms: 61_000,
            times: 2,
        }];
        assert_eq!(
            requests(&list, Style::PLAIN),
            "ID  AGE    TIMES  NAME  REASON (the agent's own words)\n\
             7   1m01s  2      A     please\\x1b[2J\\nrm\n"
        );
        assert_eq!(
            requests_json(&list),
            "{\"v\":1,\"requests\":[{\"id\":7,\"name\":\"A\",\"reason\":\"please\\\\x1b[2J\\\\nrm\",\
             \"age_ms\":61000,\"times\":2}]}\n"
        );
    }

    #[test]
    fn changes() {
        let change = |version, generation, holders| Change { version, generation, holders };
        for (change, want) in [
            (change(2, 7, 0), "A: entered, version 2; vault generation 7\n"),
            (change(1, 0, 0), "A: entered, version 1; in memory only, until the session ends\n"),
            (change(0, 8, 1), "A: entered; vault generation 8; 1 command that held it is ended\n"),
            (
                change(0, 8, 2),
                "A: entered; vault generation 8; 2 commands that held it are ended\n",
            ),
        ] {
            assert_eq!(change.text("entered", &name("A")), want);
        }
        assert_eq!(
            changed_json(&name("A"), &change(0, 7, 1)),
            "{\"v\":1,\"changed\":{\"name\":\"A\",\"version\":null,\"generation\":7,\"holders\":1}}\n"
        );
        assert_eq!(
            imported_json(&[(&name("A"), change(1, 0, 0))]),
            "{\"v\":1,\"imported\":[{\"name\":\"A\",\"version\":1,\"generation\":null,\"holders\":0}]}\n"
        );
    }
}
