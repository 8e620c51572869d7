//! Model and programs to Rust source: statics that `lib.rs` and `spec.rs` include.

use std::fmt::Write;

use crate::{
    bpf::{self, Insn},
    combine::{Filter, Lists, plain},
    model::{Arch, Body, Case, Condition, Entry, List, Test, Verdict},
};

pub fn rust(arch: &Arch, lists: &Lists) -> Result<String, String> {
    let mut out = String::new();
    programs(&mut out, arch, lists)?;
    spec(&mut out, arch, lists).map_err(|e| e.to_string())?;
    Ok(out)
}

fn programs(out: &mut String, arch: &Arch, lists: &Lists) -> Result<(), String> {
    let compile = |name: &str, filter: &Filter| {
        bpf::compile(arch, filter).map_err(|e| format!("{name}: {e}"))
    };
    let mut grid = Vec::new();
    for net in 0..3 {
        let row = (0..3)
            .map(|unix| compile("base", &lists.base(net, unix)))
            .collect::<Result<Vec<_>, _>>()?;
        grid.push(format!("[{}]", row.iter().map(|p| slice(p)).collect::<Vec<_>>().join(", ")));
        if (0..3).any(|unix| lists.close(net, unix) != lists.close(0, 0)) {
            return Err(
                "setup.toml names a call that differs by net or unix: close() is one program"
                    .into(),
            );
        }
    }
    let mut item = |name: &str, program: Vec<Insn>| {
        let _ = writeln!(out, "pub(crate) static {name}: &[Insn] = {};", slice(&program));
    };
    item("CLOSE", compile("close", &lists.close(0, 0))?);
    let last = bpf::compile_short(&plain(&lists.last, 0, 0)).map_err(|e| format!("last: {e}"))?;
    item("LAST", last);
    item("DEPUTY", compile("deputy", &lists.deputy())?);
    item("NEVER", compile("never", &plain(&lists.never, 0, 0))?);
    item("BROKER", compile("broker", &plain(&lists.broker, 0, 0))?);
    item("RECORDER", compile("recorder", &plain(&lists.recorder, 0, 0))?);
    let _ = writeln!(out, "pub(crate) static BASE: [[&[Insn]; 3]; 3] = [{}];", grid.join(", "));
    Ok(())
}

fn slice(program: &[Insn]) -> String {
    let one = |(code, jt, jf, k): &Insn| format!("Insn{{code:{code},jt:{jt},jf:{jf},k:{k}}}");
    format!("&[{}]", program.iter().map(one).collect::<Vec<_>>().join(","))
}

fn spec(out: &mut String, arch: &Arch, lists: &Lists) -> std::fmt::Result {
    writeln!(out, "pub(crate) static AUDIT_ARCH: u32 = {};", arch.audit)?;
    writeln!(out, "pub(crate) static FOREIGN_ABI: Option<u32> = {:?};", arch.foreign_abi)?;
    writeln!(
        out,
        "pub(crate) static NUMBERS: &[(&str, u32)] = &{:?};",
        arch.numbers.iter().collect::<Vec<_>>()
    )?;
    let all = lists.all().map(list).join(", ");
    writeln!(out, "pub(crate) static LISTS: &[List] = &[{all}];")
}

fn list(list: &List) -> String {
    let entries = list.entries.iter().map(entry).collect::<Vec<_>>().join(", ");
    format!(
        "List {{ name: {:?}, purpose: {:?}, unlisted: {}, unknown: {}, entries: &[{entries}] }}",
        list.name,
        list.purpose,
        verdict(list.unlisted),
        verdict(list.unknown)
    )
}

fn entry(entry: &Entry) -> String {
    let body = match &entry.body {
        Body::Plain(v) => format!("Body::Plain({})", verdict(*v)),
        Body::Rule { cases, otherwise } => {
            let cases = cases.iter().map(case).collect::<Vec<_>>().join(", ");
            format!("Body::Rule {{ cases: &[{cases}], otherwise: {} }}", verdict(*otherwise))
        }
    };
    format!(
        "Entry {{ names: &{:?}, numbers: &{:?}, why: {:?}, body: {body} }}",
        entry.names, entry.numbers, entry.why
    )
}

fn case(case: &Case) -> String {
    let nets = ["Net::None", "Net::Loopback", "Net::Open"];
    let unixes = ["Unix::All", "Unix::Seqpacket", "Unix::None"];
    let pick = |known: &[&str], chosen: &[usize]| {
        chosen.iter().filter_map(|i| known.get(*i)).copied().collect::<Vec<_>>().join(", ")
    };
    format!(
        "Case {{ why: {:?}, net: &[{}], unix: &[{}], when: &[{}], then: {} }}",
        case.why,
        pick(&nets, &case.net),
        pick(&unixes, &case.unix),
        case.when.iter().map(condition).collect::<Vec<_>>().join(", "),
        verdict(case.then)
    )
}

fn condition(condition: &Condition) -> String {
    let test = match &condition.test {
        Test::LowIn { mask, values } => {
            format!("Test::LowIn {{ mask: {mask}, values: &{values:?} }}")
        }
        Test::HighZero => "Test::HighZero".into(),
        Test::Null => "Test::Null".into(),
    };
    format!("Condition {{ arg: {}, test: {test}, text: {:?} }}", condition.arg, condition.text)
}

fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Allow => "Verdict::Allow".into(),
        Verdict::Kill => "Verdict::Kill".into(),
        Verdict::Notify => "Verdict::Notify".into(),
        Verdict::Errno(errno) => format!("Verdict::Errno({errno})"),
    }
}
