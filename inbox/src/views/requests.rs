//! What waits for a decision, and one request whole.

use strongroom_approval::{Request, word};
use strongroom_protocol::channel::o::{Kind, Pending};
use strongroom_protocol::codes::Code;
use strongroom_protocol::text::hex;

use super::{Around, form, page, rows, trouble};
use crate::html::Attr::{Is, To, Value};
use crate::html::Html;
use crate::place::Place;
use crate::time::span;

/// The list.
#[must_use]
pub fn requests(around: &Around, list: &[Pending]) -> Html {
    let title = match list.len() {
        0 => "Requests".to_owned(),
        many => format!("({many}) Requests"),
    };
    page(&title, &Place::Requests, around, |html| {
        html.leaf("h1", &[], "Waiting for a decision");
        if list.is_empty() {
            html.class("p", "empty", "Nothing waits. This page looks again every 10 seconds.");
        }
        list.iter().for_each(|pending| card(html, pending));
        let asked = around.status.as_ref().map_or(0, |status| status.requests);
        if asked > 0 {
            html.leaf("h2", &[], "Credentials");
            html.tag("a", &[Is("class", "card"), To(&Place::Credentials)], |html| {
                let words = if asked == 1 { "is" } else { "are" };
                html.text(&format!("{asked} {words} asked for by agents."));
            });
        }
    })
}

fn card(html: &mut Html, pending: &Pending) {
    html.tag("a", &[Is("class", "card"), To(&Place::Request(pending.id))], |html| {
        html.tag("span", &[Is("class", "head")], |html| {
            html.leaf("strong", &[], &format!("{} · {}", pending.id.0, kind(pending.kind)));
            if let Some(rule) = &pending.rule {
                html.class("span", "soft", &format!("rule {}", rule.as_str()));
            }
            badge(html, pending);
        });
        let mut words: Vec<String> =
            pending.head.as_slice().iter().map(|arg| word(arg.as_bytes())).collect();
        if pending.cut {
            words.push("…".to_owned());
        }
        html.class("code", "what", &words.join(" "));
        html.tag("span", &[Is("class", "meta")], |html| meta(html, pending));
    });
}

fn badge(html: &mut Html, pending: &Pending) {
    if pending.approved {
        html.class("span", "badge good", "approved, not used yet");
    } else if pending.voted {
        html.class("span", "badge good", "you have approved");
    } else {
        html.class("span", "badge warn", "needs a decision");
    }
}

fn meta(html: &mut Html, pending: &Pending) {
    html.leaf("span", &[], &format!("{} left", span(pending.left_ms)));
    html.leaf("span", &[], &format!("asked {} ago", span(pending.age_ms)));
    if pending.quorum > 1 {
        html.leaf("span", &[], &format!("{} of {} approvals", pending.votes, pending.quorum));
    }
    if pending.times > 1 {
        html.leaf("span", &[], &format!("asked {} times", pending.times));
    }
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Exec => "run a command",
        Kind::Plain => "write real values",
        Kind::Delete => "delete a credential",
        Kind::Question => "a question",
    }
}

/// One request, all of it, and the form that decides on it. The form comes
/// after everything it decides on, and carries the digest of what was drawn.
#[must_use]
pub fn request(
    around: &Around,
    pending: &Pending,
    request: &Request,
    token: &str,
    refused: Option<Code>,
) -> Html {
    let place = Place::Request(pending.id);
    let title = format!("Request {}", pending.id.0);
    page(&title, &Place::Requests, around, |html| {
        if let Some(code) = refused {
            trouble(html, code);
        }
        html.leaf("h1", &[], &format!("Request {}: {}", pending.id.0, kind(pending.kind)));
        html.tag("p", &[Is("class", "meta")], |html| {
            badge(html, pending);
            meta(html, pending);
        });
        rows::rows(html, &request.rows());
        if pending.approved || pending.voted {
            let words = if pending.approved {
                "Approved: the same request, made again, may use it once. A denial is no longer asked for."
            } else {
                "You have approved this; other approvers must agree. You can still deny it."
            };
            html.leaf("p", &[], words);
        }
        if pending.approved {
            return;
        }
        form(html, &place, token, |html| {
            html.void(
                "input",
                &[Is("type", "hidden"), Is("name", "digest"), Value(&hex(request.digest()))],
            );
            html.tag("label", &[], |html| {
                html.leaf(
                    "span",
                    &[],
                    "Your reason, if you want to give one. If you deny, the agent is told.",
                );
                html.tag(
                    "textarea",
                    &[Is("name", "reason"), Is("rows", "2"), Is("maxlength", "1000")],
                    |_| {},
                );
            });
            html.tag("div", &[Is("class", "buttons")], |html| {
                let decide =
                    |value, class| [Is("class", class), Is("name", "verdict"), Is("value", value)];
                html.leaf("button", &decide("deny", "bad"), "Deny");
                if !pending.voted {
                    html.leaf("button", &decide("approve", "good"), "Approve");
                }
            });
        });
    })
}
