//! `strongroom explain`: the table of codes.

use serde::Serialize;
use strongroom_api::shape::Row;
use strongroom_protocol::codes::{Ask, Code, Entry, TABLE};

use crate::error::{print, to_json};
use crate::style::Style;

/// Explains one code, or lists all.
pub fn explain(code: Option<Code>, json: bool) -> i32 {
    let style = Style::of(&std::io::stdout());
    let text = match (code, json) {
        (Some(code), true) => to_json(&Row::from(code.entry())) + "\n",
        (Some(code), false) => one(code.entry(), style),
        (None, true) => to_json(&All { v: 1, codes: TABLE.iter().map(Row::from).collect() }) + "\n",
        (None, false) => TABLE
            .iter()
            .map(|entry| format!("{}  {}\n", style.strong(&entry.code.to_string()), entry.what))
            .collect(),
    };
    print(&text);
    0
}

fn one(entry: &Entry, style: Style) -> String {
    let exit = match entry.exit {
        0 => "the command's own".to_owned(),
        exit => exit.to_string(),
    };
    format!(
        "{}: {}\n  instead: {}\n  exit status: {exit}\n  may asking help? {}\n",
        style.strong(&entry.code.to_string()),
        entry.what,
        entry.instead,
        ask(entry.ask)
    )
}

const fn ask(ask: Ask) -> &'static str {
    match ask {
        Ask::No => "no: change the request",
        Ask::Human => "yes: a human may allow it",
        Ask::Later => "not needed: try again later, unchanged",
        Ask::Operator => "yes: the operator can change the policy or the place",
    }
}

#[derive(Serialize)]
struct All {
    v: u8,
    codes: Vec<Row>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_code() {
        assert_eq!(
            one(Code::TooManyAtOnce.entry(), Style::PLAIN),
            "SR112: too many commands are running at once\n  instead: wait for one to end\n  exit status: 77\n  \
             may asking help? not needed: try again later, unchanged\n"
        );
        assert_eq!(
            to_json(&Row::from(Code::OutputCut.entry())),
            "{\"code\":\"SR205\",\"what\":\"the output was longer than allowed and is cut here; the command went on\",\
             \"instead\":\"write long output to a file in the workspace\",\"exit\":null,\"ask\":\"operator\"}"
        );
    }

    #[test]
    fn numbers_are_unique_and_in_order() {
        assert!(
            TABLE
                .windows(2)
                .all(|pair| matches!(pair, [a, b] if a.code.number() < b.code.number()))
        );
    }
}
