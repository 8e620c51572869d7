//! The end of the audit log.

use std::io;

use strongroom_audit::schema::Level;
use strongroom_protocol::text::visible;

use super::{Around, page};
use crate::html::Attr::Is;
use crate::html::Html;
use crate::place::Place;
use crate::tail::{RECORDS, Record};

/// Fields that a person looking for something does not need.
const LEFT_OUT: [&str; 10] = [
    "argv_hex",
    "reason_hex",
    "argc",
    "slot",
    "tree",
    "user_us",
    "system_us",
    "max_rss_kib",
    "digest",
    "seal",
];

/// The last records, newest first.
#[must_use]
pub fn audit(around: &Around, records: &io::Result<Vec<Record>>) -> Html {
    page("Audit log", &Place::Audit, around, |html| {
        html.leaf("h1", &[], "Audit log");
        match records {
            Err(_) => html.class(
                "p",
                "empty",
                "This process may not read the log's folder. Run the inbox as the user who may, or use `strongroom audit tail` there.",
            ),
            Ok(records) if records.is_empty() => html.class("p", "empty", "The log has no record."),
            Ok(records) => {
                let words = format!(
                    "The last {} records at most, newest first. Whether they are what was written says `strongroom audit verify`.",
                    RECORDS
                );
                html.class("p", "soft", &words);
                table(html, records);
            }
        }
    })
}

fn table(html: &mut Html, records: &[Record]) {
    html.tag("table", &[], |html| {
        html.tag("thead", &[], |html| {
            html.tag("tr", &[], |html| {
                for head in ["Record", "Time (UTC)", "Event", "Rule", "Approval", "Who", "What"] {
                    html.leaf("th", &[], head);
                }
            });
        });
        html.tag("tbody", &[], |html| records.iter().for_each(|one| line(html, one)));
    });
}

fn line(html: &mut Html, record: &Record) {
    let level = match record.level {
        Level::Info => "tight",
        Level::Notice => "tight notable",
        Level::Warning => "tight warning",
        Level::Alert => "tight alert",
    };
    let field = |name: &str| {
        let found = record.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| safe(value)).unwrap_or_default()
    };
    let who = ["by", "approver", "approvers"].map(field).into_iter().find(|who| !who.is_empty());
    html.tag("tr", &[], |html| {
        html.leaf("td", &[Is("class", "tight first")], &record.seq.to_string());
        html.leaf("td", &[Is("class", "tight first")], &safe(&record.time));
        html.tag("td", &[Is("class", level)], |html| html.text(&safe(&record.event)));
        html.leaf("td", &[Is("class", "tight"), Is("data-label", "rule")], &field("rule"));
        html.leaf("td", &[Is("data-label", "approval")], &field("approval"));
        html.leaf(
            "td",
            &[Is("class", "tight"), Is("data-label", "who")],
            &who.unwrap_or_else(|| safe(&record.writer)),
        );
        html.tag("td", &[], |html| {
            for (name, value) in &record.fields {
                let elsewhere =
                    ["rule", "approval", "by", "approver", "approvers"].contains(&name.as_str());
                if elsewhere || LEFT_OUT.contains(&name.as_str()) {
                    continue;
                }
                html.tag("span", &[Is("class", "pair")], |html| {
                    html.leaf("b", &[], &format!("{} ", safe(name)));
                    html.class("span", "mono", &safe(value));
                });
                html.text(" ");
            }
        });
    });
}

/// A text of the log. The recorder has made what others wrote visible; where
/// somebody else wrote into the file that is not so. Backslashes stay as they
/// are, so that nothing is escaped twice.
fn safe(text: &str) -> String {
    let parts: Vec<String> = text.split('\\').map(|part| visible(part.as_bytes())).collect();
    parts.join("\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts_and_nothing_is_escaped_twice() {
        for (text, want) in [
            ("git push", "git push"),
            ("a\\x1b[2J", "a\\x1b[2J"),
            ("a\u{1b}[2J\u{202e}\n", "a\\x1b[2J\\u{202e}\\n"),
        ] {
            assert_eq!(safe(text), want);
        }
    }

    #[test]
    fn a_page_of_the_log() {
        let record = Record {
            seq: 7,
            time: "2026-01-31 23:59:59".to_owned(),
            event: "voted".to_owned(),
            level: Level::Notice,
            writer: "broker".to_owned(),
            fields: vec![
                ("approval".to_owned(), "3".to_owned()),
                ("approver".to_owned(), "alice".to_owned()),
                ("reason".to_owned(), "<script>alert(1)</script>".to_owned()),
            ],
        };
        let html = audit(&Around::default(), &Ok(vec![record]));
        let html = String::from_utf8(html.into_bytes()).unwrap();
        assert!(!html.contains("<script"));
        for part in [">alice<", "&lt;script&gt;", "voted", "<td data-label=\"approval\">3<"] {
            assert!(html.contains(part), "{part}");
        }
    }
}
