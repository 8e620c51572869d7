//! The credentials without their values, and where a value is entered.

use strongroom_approval::{Text, Trust};
use strongroom_protocol::channel::o::{self, Held};
use strongroom_protocol::codes::Code;
use strongroom_protocol::types::CredentialName;

use super::{Around, form, page, rows, trouble};
use crate::html::Attr::{self, Is, To};
use crate::html::Html;
use crate::place::Place;
use crate::time::{date_and_minute, span};

/// The list. `token` gives the token of the form that forgets a request.
#[must_use]
pub fn credentials(
    around: &Around,
    held: &[Held],
    asked: &[o::Request],
    token: impl Fn(&Place) -> String,
) -> Html {
    page("Credentials", &Place::Credentials, around, |html| {
        html.leaf("h1", &[], "Credentials");
        if !asked.is_empty() {
            html.leaf("h2", &[], "Asked for by agents");
        }
        for request in asked {
            html.tag("div", &[Is("class", "card")], |html| {
                html.tag("span", &[Is("class", "head")], |html| {
                    html.leaf("code", &[], request.name.as_str());
                    let times = match request.times {
                        1 => String::new(),
                        many => format!(", {many} times"),
                    };
                    html.class(
                        "span",
                        "soft",
                        &format!("asked {} ago{times}", span(request.age_ms)),
                    );
                });
                let reason = Text::prose(request.reason.as_bytes());
                rows::text(html, &reason, Trust::Untrusted);
                let place = Place::Credential(request.name.clone());
                let dismiss = Place::Dismiss(request.id);
                html.tag("div", &[Is("class", "does")], |html| {
                    html.leaf("a", &[To(&place)], "Enter it");
                    form(html, &dismiss, &token(&dismiss), |html| {
                        html.leaf("button", &[Is("class", "plain")], "Forget the request");
                    });
                });
            });
        }
        html.leaf("h2", &[], "All, without their values");
        if held.is_empty() {
            return html.class("p", "empty", "There is none.");
        }
        html.tag("table", &[], |html| {
            html.tag("thead", &[], |html| {
                html.tag("tr", &[], |html| {
                    for head in ["Name", "State", "Delivered", "Entered", "Changed", "Used", ""] {
                        html.leaf("th", &[], head);
                    }
                });
            });
            html.tag("tbody", &[], |html| held.iter().for_each(|one| line(html, one)));
        });
    })
}

fn line(html: &mut Html, held: &Held) {
    let state = match (held.there, held.revoked) {
        (true, _) => format!("version {}", held.version),
        (false, true) => "revoked".to_owned(),
        (false, false) => "not entered".to_owned(),
    };
    let state = match held.holders {
        0 => state,
        1 => format!("{state}, 1 command holds it"),
        many => format!("{state}, {many} commands hold it"),
    };
    let delivered = match (held.env, held.file) {
        (true, true) => "env, file",
        (true, false) => "env",
        (false, true) => "file",
        (false, false) => "no: the policy does not name it",
    };
    let time = |seconds| match seconds {
        0 => "never".to_owned(),
        seconds => date_and_minute(seconds),
    };
    html.tag("tr", &[], |html| {
        html.tag("td", &[Is("class", "tight")], |html| html.leaf("code", &[], held.name.as_str()));
        html.leaf("td", &[Is("data-label", "")], &state);
        html.leaf("td", &[Is("data-label", "delivered")], delivered);
        html.leaf("td", &[Is("data-label", "entered")], &time(held.created));
        html.leaf("td", &[Is("data-label", "changed")], &time(held.changed));
        html.leaf("td", &[Is("data-label", "used")], &time(held.used));
        html.tag("td", &[], |html| {
            let words = if held.there { "Change" } else { "Enter" };
            html.leaf("a", &[To(&Place::Credential(held.name.clone()))], words);
        });
    });
}

/// What stands around the form that takes a value.
#[derive(Debug, Default)]
pub struct Entry {
    /// What is known of the credential.
    pub held: Option<Held>,
    /// An agent asks for it.
    pub asked: Option<o::Request>,
}

/// Where a value is entered.
#[must_use]
pub fn credential(
    around: &Around,
    name: &CredentialName,
    entry: &Entry,
    token: &str,
    refused: Option<Code>,
) -> Html {
    let place = Place::Credential(name.clone());
    page("Enter a credential", &Place::Credentials, around, |html| {
        if let Some(code) = refused {
            trouble(html, code);
        }
        html.tag("h1", &[], |html| {
            html.text("Enter ");
            html.leaf("code", &[], name.as_str());
        });
        if let Some(request) = &entry.asked {
            html.leaf("p", &[], "An agent asks for it:");
            rows::text(html, &Text::prose(request.reason.as_bytes()), Trust::Untrusted);
        }
        let words = match entry.held.as_ref() {
            Some(held) if held.there => {
                "There is a value. The new one takes its place, and commands that hold the old one are ended."
            }
            Some(held) if !held.env && !held.file => {
                "The policy does not name it: no command gets it before a rule does."
            }
            None => "The policy does not name it: no command gets it before a rule does.",
            Some(_) => "Only commands of rules that name it get it; the agent never does.",
        };
        html.class("p", "soft", words);
        form(html, &place, token, |html| {
            html.tag("label", &[], |html| {
                html.leaf("span", &[], "Value");
                let attributes = [Is("type", "password"), Is("name", "value"), Is("autofocus", "")];
                html.void("input", &[&attributes[..], &SECRET].concat());
            });
            html.tag("details", &[], |html| {
                html.leaf("summary", &[], "It has several lines");
                html.tag("label", &[], |html| {
                    html.leaf("span", &[], "Value of several lines, in the place of the one above");
                    let attributes = [Is("class", "secret"), Is("name", "lines"), Is("rows", "6")];
                    html.tag("textarea", &[&attributes[..], &SECRET].concat(), |_| {});
                });
            });
            html.tag("label", &[Is("class", "check")], |html| {
                html.void("input", &[Is("type", "checkbox"), Is("name", "force"), Is("value", "yes")]);
                html.leaf("span", &[], "Take it although it is short or easily guessed. Then it is not hidden everywhere in output.");
            });
            html.leaf("button", &[], "Give it to the broker");
        });
    })
}

/// What keeps a browser from remembering a value or sending it elsewhere: to a
/// spelling checker, for one.
const SECRET: [Attr<'static>; 4] = [
    Is("autocomplete", "off"),
    Is("autocapitalize", "none"),
    Is("autocorrect", "off"),
    Is("spellcheck", "false"),
];
