//! A record as one line for people. What agents wrote in it is escaped
//! already, in the log itself.

use strongroom_audit::line::Line;
use strongroom_audit::scan::{Raw, members, unescaped};
use strongroom_audit::schema::{Level, codes, level};

use crate::style::Style;

/// Fields that a person looking for something does not need.
const LEFT_OUT: [&str; 12] = [
    "connection",
    "argc",
    "argv",
    "argv_hex",
    "req",
    "credentials",
    "slot",
    "tree",
    "user_us",
    "system_us",
    "max_rss_kib",
    "profile",
];

/// The line.
pub fn record(line: &Line<'_>, style: Style) -> String {
    let time = line.time.get(..23).unwrap_or(line.time).replacen('T', " ", 1);
    let event = match level(line) {
        Level::Info => line.event.to_owned(),
        Level::Notice => style.strong(line.event),
        Level::Warning | Level::Alert => style.bad(line.event),
    };
    let req = line.number("req").map_or_else(String::new, |req| format!(" #{req}"));
    let session = line.session.get(..8).unwrap_or(line.session);
    let mut text = format!("{:>7} {time} {session}{req} {event}", line.seq);
    let argv: Vec<String> = texts(line, "argv");
    if !argv.is_empty() {
        text.push_str(": ");
        text.push_str(&argv.join(" "));
    }
    for (key, value) in members(line.fields).filter(|(key, _)| !LEFT_OUT.contains(key)) {
        text.push_str(&format!(" {key}={}", plain(value)));
    }
    for code in codes(line).filter(|code| line.text("code") != Some(code)) {
        text.push_str(&format!(" {code}"));
    }
    let credentials = texts(line, "credentials");
    if !credentials.is_empty() {
        text.push_str(&format!(" credentials={}", style.strong(&credentials.join(","))));
    }
    text
}

fn texts(line: &Line<'_>, name: &str) -> Vec<String> {
    line.field(name).into_iter().flat_map(Raw::texts).map(unescaped).collect()
}

fn plain(value: Raw<'_>) -> String {
    match value {
        Raw::Number(digits) => digits.to_owned(),
        Raw::Flag(flag) => flag.to_string(),
        // Quoted where it could be taken for more than one field.
        Raw::Text(text) if text.contains([' ', '"', '\\', '=']) || text.is_empty() => {
            format!("\"{text}\"")
        }
        Raw::Text(text) => text.to_owned(),
        Raw::List(inside) => format!("[{inside}]"),
        Raw::Object(inside) => format!("{{{inside}}}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use strongroom_audit::query::Filter;
    use strongroom_protocol::codes::Code;

    use super::*;

    #[test]
    fn one_line_whatever_is_in_it() {
        let bytes = format!(
            "{{\"v\":1,\"seq\":41,\"time\":\"2026-01-31T23:59:59.000001Z\",\"mono_us\":1,\"session\":\"{}\",\
             \"writer\":\"broker\",\"event\":\"intent\",\"req\":7,\"connection\":1,\"argv\":[\"git\",\"a\\\\nb\"],\"argc\":2,\
             \"rule\":\"git-push\",\"profile\":\"build\",\"credentials\":[\"TOKEN\"],\"reason\":\"x\\\" rule=\\\"y\",\"prev\":\"{}\"}}",
            "ab".repeat(16),
            "00".repeat(32)
        );
        let line = Line::parse(bytes.as_bytes()).unwrap();
        assert_eq!(
            record(&line, Style::PLAIN),
            "     41 2026-01-31 23:59:59.000 abababab #7 intent: git a\\nb rule=git-push \
             reason=\"x\\\" rule=\\\"y\" credentials=TOKEN"
        );
    }

    /// An outcome, with these fields of its own.
    fn outcome(fields: &str) -> String {
        format!(
            "{{\"v\":1,\"seq\":41,\"time\":\"2026-01-31T23:59:59.000001Z\",\"mono_us\":1,\"session\":\"{}\",\
             \"writer\":\"broker\",\"event\":\"outcome\",\"req\":7{fields},\"prev\":\"{}\"}}",
            "ab".repeat(16),
            "00".repeat(32)
        )
    }

    #[test]
    fn what_an_outcome_says_has_its_code_and_level() {
        let code = |code: Code| code.to_string();
        for (fields, want, grave) in [
            (",\"output_cut\":false,\"masked\":0", vec![], Level::Info),
            (",\"output_cut\":false,\"masked\":2", vec![code(Code::ValueMasked)], Level::Warning),
            (",\"output_cut\":true,\"masked\":0", vec![code(Code::OutputCut)], Level::Warning),
            (
                ",\"code\":\"SR201\",\"masked\":1,\"protected\":[\".git/hooks\"]",
                vec![code(Code::WallTime), code(Code::ValueMasked), code(Code::ProtectedName)],
                Level::Warning,
            ),
        ] {
            let bytes = outcome(fields);
            let line = Line::parse(bytes.as_bytes()).unwrap();
            assert_eq!(
                (codes(&line).collect::<Vec<_>>(), level(&line)),
                (want.iter().map(String::as_str).collect(), grave)
            );
            let text = record(&line, Style::PLAIN);
            for code in &want {
                assert_eq!(text.matches(code.as_str()).count(), 1, "{text}");
                let filter = Filter { code: Some(code.clone()), ..Filter::default() };
                assert!(filter.matches(&line));
            }
            let other = Filter { code: Some("SR101".to_owned()), ..Filter::default() };
            assert!(!other.matches(&line));
        }
    }
}
