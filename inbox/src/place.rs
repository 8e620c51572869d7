//! The pages: every path there is. What a request names is looked up here, and
//! what a page links to is written from here.

use std::fmt;

use strongroom_protocol::types::{ApprovalId, CredentialName};

/// A page, or what a form does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// What waits for a decision.
    Requests,
    /// One request.
    Request(ApprovalId),
    /// The credentials, and which agents ask for.
    Credentials,
    /// Where one is entered.
    Credential(CredentialName),
    /// Forget an agent's request for one.
    Dismiss(u32),
    /// The end of the audit log.
    Audit,
    /// The kill switch.
    Kill,
    /// Where the code is entered.
    Login,
    /// Ends the browser's session.
    Logout,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests => f.write_str("/"),
            Self::Request(ApprovalId(id)) => write!(f, "/requests/{id}"),
            Self::Credentials => f.write_str("/credentials"),
            Self::Credential(name) => write!(f, "/credentials/{}", name.as_str()),
            Self::Dismiss(id) => write!(f, "/dismiss/{id}"),
            Self::Audit => f.write_str("/audit"),
            Self::Kill => f.write_str("/kill"),
            Self::Login => f.write_str("/login"),
            Self::Logout => f.write_str("/logout"),
        }
    }
}

impl Place {
    /// The place a path names. There is one way to write each.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let place = match path {
            "/" => Self::Requests,
            "/credentials" => Self::Credentials,
            "/audit" => Self::Audit,
            "/kill" => Self::Kill,
            "/login" => Self::Login,
            "/logout" => Self::Logout,
            path => {
                if let Some(id) = path.strip_prefix("/requests/") {
                    Self::Request(ApprovalId(id.parse().ok()?))
                } else if let Some(name) = path.strip_prefix("/credentials/") {
                    Self::Credential(CredentialName::new(name).ok()?)
                } else {
                    Self::Dismiss(path.strip_prefix("/dismiss/")?.parse().ok()?)
                }
            }
        };
        (place.to_string() == path).then_some(place)
    }

    /// It can be looked at.
    #[must_use]
    pub const fn shows(&self) -> bool {
        !matches!(self, Self::Dismiss(_) | Self::Logout)
    }

    /// It has a form.
    #[must_use]
    pub const fn acts(&self) -> bool {
        !matches!(self, Self::Requests | Self::Credentials | Self::Audit)
    }
}

/// What a page says of what was done just before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The request is approved.
    Approved,
    /// The approval counts, and more are needed.
    Counted,
    /// The request is denied.
    Denied,
    /// The credential is entered.
    Entered,
    /// The request for a credential is forgotten.
    Dismissed,
    /// Everything was ended.
    Killed,
}

impl Notice {
    const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Approved, "approved", "Approved."),
        (Self::Counted, "counted", "Your approval counts; other approvers must agree."),
        (Self::Denied, "denied", "Denied."),
        (Self::Entered, "entered", "The value is with the broker; nothing of it is left here."),
        (Self::Dismissed, "dismissed", "The request is forgotten."),
        (Self::Killed, "killed", "All commands and the agent were ended."),
    ];

    /// Reads the query of a path: `told=WORD`, and nothing else.
    #[must_use]
    pub fn parse(query: &str) -> Option<Self> {
        let word = query.strip_prefix("told=")?;
        Self::ALL.iter().find(|(_, known, _)| *known == word).map(|(notice, ..)| *notice)
    }

    /// The word for it in a path.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.row().1
    }

    /// What is said.
    #[must_use]
    pub fn words(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (Self, &'static str, &'static str) {
        let found = Self::ALL.into_iter().find(|(notice, ..)| *notice == self);
        found.unwrap_or((self, "", ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_way_to_write_each() {
        for path in [
            "/",
            "/requests/7",
            "/requests/18446744073709551615",
            "/credentials",
            "/credentials/API_KEY",
            "/dismiss/3",
            "/audit",
            "/kill",
            "/login",
            "/logout",
        ] {
            assert_eq!(Place::parse(path).unwrap().to_string(), path);
        }
        for path in [
            "",
            "//",
            "/requests",
            "/requests/",
            "/requests/07",
            "/requests/+7",
            "/requests/-1",
            "/requests/7/",
            "/requests/18446744073709551616",
            "/requests/7%20",
            "/requests/../kill",
            "/credentials/",
            "/credentials/api_key",
            "/credentials/A%41",
            "/credentials/<script>",
            "/Kill",
            "/kill/",
            "/favicon.ico",
            "/..",
        ] {
            assert_eq!(Place::parse(path), None, "{path}");
        }
    }

    #[test]
    fn notices() {
        for (notice, word, words) in Notice::ALL {
            assert_eq!(Notice::parse(&format!("told={word}")), Some(notice));
            assert_eq!((notice.word(), notice.words()), (word, words));
        }
        for query in ["", "told=", "told=<script>", "approved", "told=approved&x=y"] {
            assert_eq!(Notice::parse(query), None);
        }
    }
}
