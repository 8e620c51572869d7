//! The pages. Each is a function of what the broker said; what agents wrote
//! gets into one only through `rows.rs` and [`Html::text`].

mod audit;
mod credentials;
mod requests;
mod rows;

use std::time::Duration;

use strongroom_protocol::channel::o::Status;
use strongroom_protocol::codes::Code;
use strongroom_protocol::types::Name;

use crate::guard::Refusal;
use crate::html::{Attr, Html};
use crate::place::{Notice, Place};
use crate::time::span;

pub use audit::audit;
pub use credentials::{Entry, credential, credentials};
pub use requests::{request, requests};

use Attr::{Action, Is, To, Value};

/// What stands around a page.
#[derive(Debug, Default)]
pub struct Around {
    /// Whose inbox it is, where a session was found.
    pub who: Option<Name>,
    /// How the session is.
    pub status: Option<Status>,
    /// What was done just before.
    pub notice: Option<Notice>,
    /// The token of the form that logs out.
    pub logout: String,
}

/// A page without anything around it.
fn bare(title: &str, inner: impl FnOnce(&mut Html)) -> Html {
    Html::document(|html| {
        html.tag("head", &[], |html| {
            html.void("meta", &[Is("charset", "utf-8")]);
            html.void(
                "meta",
                &[Is("name", "viewport"), Is("content", "width=device-width, initial-scale=1")],
            );
            html.leaf("title", &[], &format!("{title} - Strongroom"));
            html.style();
        });
        html.tag("body", &[], inner);
    })
}

/// A page with everything around it.
fn page(title: &str, here: &Place, around: &Around, inner: impl FnOnce(&mut Html)) -> Html {
    bare(title, |html| {
        html.tag("header", &[Is("class", "top")], |html| {
            html.tag("div", &[], |html| {
                html.leaf("strong", &[], "Strongroom inbox");
                nav(html, here, around);
            });
        });
        html.tag("main", &[], |html| {
            if let Some(notice) = around.notice {
                html.leaf("p", &[Is("class", "notice"), Is("role", "status")], notice.words());
            }
            inner(html);
        });
        foot(html, around);
    })
}

fn nav(html: &mut Html, here: &Place, around: &Around) {
    let counted = |word: &str, count: Option<u32>| match count {
        Some(count) if count > 0 => format!("{word} ({count})"),
        _ => word.to_owned(),
    };
    let status = around.status.as_ref();
    let places = [
        (Place::Requests, counted("Requests", status.map(|s| s.approvals)), "there"),
        (Place::Credentials, counted("Credentials", status.map(|s| s.requests)), "there"),
        (Place::Audit, "Audit".to_owned(), "there"),
        (Place::Kill, "Kill switch".to_owned(), "alarm"),
    ];
    html.tag("nav", &[Is("aria-label", "Pages")], |html| {
        for (place, words, class) in &places {
            let class = if place == here { "here" } else { class };
            html.leaf("a", &[Is("class", class), To(place)], words);
        }
    });
}

fn foot(html: &mut Html, around: &Around) {
    html.tag("footer", &[], |html| {
        match &around.status {
            Some(status) => {
                let session = strongroom_protocol::text::hex(&status.session);
                html.leaf(
                    "span",
                    &[],
                    &format!("session {}", session.get(..8).unwrap_or_default()),
                );
                html.leaf("span", &[], &format!("tier {}", status.tier));
                html.leaf("span", &[], &format!("age {}", span(status.age_ms)));
                let running = status.running_count;
                html.leaf(
                    "span",
                    &[],
                    &format!(
                        "{running} running, {} accepted, {} refused",
                        status.accepted, status.refused
                    ),
                );
            }
            None => html.leaf("span", &[], "no session"),
        }
        if let Some(who) = &around.who {
            html.leaf("span", &[], &format!("you are {}", who.as_str()));
        }
        form(html, &Place::Logout, &around.logout, |html| {
            html.leaf("button", &[Is("class", "plain")], "Log out");
        });
    });
}

/// A form with its token.
fn form(html: &mut Html, place: &Place, token: &str, inner: impl FnOnce(&mut Html)) {
    let attributes = [Is("method", "post"), Action(place), Is("autocomplete", "off")];
    html.tag("form", &attributes, |html| {
        html.void("input", &[Is("type", "hidden"), Is("name", "token"), Value(token)]);
        inner(html);
    });
}

/// What went wrong, by its code.
fn trouble(html: &mut Html, code: Code) {
    let entry = code.entry();
    html.tag("div", &[Is("class", "notice bad"), Is("role", "alert")], |html| {
        html.leaf("p", &[], &format!("{code}: {}.", entry.what));
        html.leaf("p", &[Is("class", "soft")], &format!("Instead: {}.", entry.instead));
    });
}

/// Where the code is entered.
#[must_use]
pub fn login(token: &str, wrong: bool, shut: Option<Duration>) -> Html {
    bare("Log in", |html| {
        html.tag("main", &[Is("class", "narrow")], |html| {
            html.leaf("h1", &[], "Strongroom inbox");
            if let Some(left) = shut {
                let words = format!(
                    "Too many wrong codes. Nobody can log in for {} s; then there is a new code.",
                    left.as_secs() + 1
                );
                html.leaf("p", &[Is("class", "notice bad"), Is("role", "alert")], &words);
                return html.tag("p", &[], |html| html.leaf("a", &[To(&Place::Login)], "Try again"));
            }
            if wrong {
                let words = "That is not the code, or it was used or is over 5 minutes old.";
                html.leaf("p", &[Is("class", "notice bad"), Is("role", "alert")], words);
            }
            form(html, &Place::Login, token, |html| {
                html.tag("label", &[], |html| {
                    html.leaf("span", &[], "One-time code");
                    html.void(
                        "input",
                        &[
                            Is("class", "code"),
                            Is("type", "text"),
                            Is("name", "code"),
                            Is("autocomplete", "off"),
                            Is("autocapitalize", "characters"),
                            Is("spellcheck", "false"),
                            Is("maxlength", "64"),
                            Is("required", ""),
                            Is("autofocus", ""),
                        ],
                    );
                });
                html.leaf("button", &[], "Log in");
            });
            let words = "The code stands where `strongroom inbox` runs. It opens once, within 5 minutes; this page makes a new one when it is needed.";
            html.class("p", "soft", words);
        });
    })
}

/// The kill switch.
#[must_use]
pub fn kill(around: &Around, token: &str) -> Html {
    page("Kill switch", &Place::Kill, around, |html| {
        html.leaf("h1", &[], "End everything now?");
        html.leaf(
            "p",
            &[],
            "All commands and the agent are killed at once. What they were writing is left as it is. The session ends, and \
             the audit log says who ended it.",
        );
        if let Some(status) = &around.status {
            let words = match status.running_count {
                0 => "No command is running now.".to_owned(),
                1 => "1 command is running now.".to_owned(),
                many => format!("{many} commands are running now."),
            };
            html.leaf("p", &[], &words);
        }
        form(html, &Place::Kill, token, |html| {
            html.tag("div", &[Is("class", "buttons")], |html| {
                html.leaf("button", &[Is("class", "bad")], "End everything now");
            });
        });
        html.tag("p", &[], |html| html.leaf("a", &[To(&Place::Requests)], "Back, and end nothing"));
    })
}

/// A page that cannot be shown.
#[must_use]
pub fn failed(here: &Place, around: &Around, code: Code) -> Html {
    page("Not now", here, around, |html| {
        html.leaf("h1", &[], if code == Code::NoSession { "No session" } else { "Not done" });
        trouble(html, code);
        html.tag("p", &[], |html| html.leaf("a", &[To(&Place::Requests)], "To the requests"));
    })
}

/// A request that was refused. Nothing of it is shown.
#[must_use]
pub fn refused(refusal: Refusal) -> Html {
    bare("Refused", |html| {
        html.tag("main", &[Is("class", "narrow")], |html| {
            html.leaf("h1", &[], "Refused");
            html.leaf("p", &[], &format!("Why: {}.", refusal.why()));
            let words = "A link from elsewhere does not lead into the inbox. From here it does:";
            html.class("p", "soft", words);
            html.tag("p", &[], |html| html.leaf("a", &[To(&Place::Requests)], "To the inbox"));
        });
    })
}
