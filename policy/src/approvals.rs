//! `[approvals]`: who decides where a rule asks, and how long that may take.

use std::fmt;

use serde::Serialize;
use strongroom_protocol::action::{MAX_APPROVERS, MAX_PENDING};
use strongroom_protocol::plan;
use strongroom_protocol::types::Name;

use crate::check::{items, unique};
use crate::diagnostics::Diagnostics;
use crate::model::Approvals;
use crate::source::At;
use crate::units::Millis;

/// Nobody waits longer for a human, and no permission is kept longer.
const LONGEST_MS: u64 = 24 * 60 * 60 * 1000;

/// A shorter wait is no chance to read what is asked.
const SHORTEST_MS: u64 = 1000;

/// The compiled table, with its defaults.
#[must_use]
pub fn compile(written: &Approvals) -> plan::Approvals {
    let default = plan::Approvals::default();
    let millis = |written: &Option<At<Millis>>, default| written.as_ref().map_or(default, |v| v.0);
    plan::Approvals {
        approvers: written.approvers.as_ref().map_or(default.approvers, |list| {
            list.iter().filter_map(|name| Name::new(name.as_bytes()).ok()).collect()
        }),
        quorum: written.quorum.as_ref().map_or(default.quorum, |n| **n),
        timeout_ms: millis(&written.timeout, default.timeout_ms),
        permission_ms: millis(&written.permission, default.permission_ms),
        pending: written.pending.as_ref().map_or(default.pending, |n| **n),
        denials: written.denials.as_ref().map_or(default.denials, |n| **n),
        cool_down_ms: millis(&written.cool_down, default.cool_down_ms),
    }
}

/// What the types cannot say.
pub fn check(written: &Approvals, found: &mut Diagnostics) {
    if let Some(list) = &written.approvers {
        if list.is_empty() {
            found.error(list.site(), "nobody may decide", "at least one name");
        }
        if let Some(extra) = list.get(MAX_APPROVERS) {
            found.error(extra.site(), "too many approvers", format!("{MAX_APPROVERS} at most"));
        }
    }
    for name in items(written.approvers.as_ref()) {
        if Name::new(name.as_bytes()).is_err() {
            found.error(
                name.site(),
                "not a name",
                "1 to 64 of a-z, 0-9, `-` and `_`, not `-` or `_` first",
            );
        }
    }
    unique(items(written.approvers.as_ref()), "approver", found);
    let most = written.approvers.as_ref().map_or(1, |list| list.len());
    if let Some(quorum) = &written.quorum
        && !(1..=most).contains(&usize::from(**quorum))
    {
        let expected = format!("1 to {most}, as many as there are approvers");
        found.error(quorum.site(), "no decision could ever be made", expected);
    }
    if let Some(pending) = &written.pending
        && !(1..=MAX_PENDING).contains(&usize::from(**pending))
    {
        found.error(pending.site(), "out of range", format!("1 to {MAX_PENDING}"));
    }
    for time in [&written.timeout, &written.permission].into_iter().flatten() {
        if !(SHORTEST_MS..=LONGEST_MS).contains(&time.0) {
            found.error(time.site(), "a human needs some time, not for ever", "\"1s\" to \"1d\"");
        }
    }
    if let Some(time) = written.cool_down.as_ref().filter(|time| time.0 > LONGEST_MS) {
        found.error(time.site(), "too long", "\"1d\" at most, or \"none\"");
    }
}

/// What asking means, for `policy explain` and `policy check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asking {
    /// Who may decide.
    pub approvers: Vec<String>,
    /// How many of them must agree.
    pub quorum: u8,
    /// When no answer is a denial.
    pub timeout: String,
    /// How long an approval can be used that nobody waited for.
    pub permission: String,
}

impl Asking {
    /// What the policy says of it.
    #[must_use]
    pub fn of(written: &Approvals) -> Self {
        let plan = compile(written);
        Self {
            approvers: plan.approvers.iter().map(|name| name.as_str().to_owned()).collect(),
            quorum: plan.quorum,
            timeout: Millis(plan.timeout_ms).to_string(),
            permission: Millis(plan.permission_ms).to_string(),
        }
    }
}

impl fmt::Display for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.approvers.join(", ");
        match (self.approvers.len(), self.quorum) {
            (1, _) => write!(f, "{names} must agree")?,
            (all, quorum) if usize::from(quorum) == all => write!(f, "all of {names} must agree")?,
            (_, quorum) => write!(f, "{quorum} of {names} must agree")?,
        }
        write!(f, " within {}, or it is denied", self.timeout)?;
        write!(f, "; an approval nobody waited for can be used for {}", self.permission)
    }
}
