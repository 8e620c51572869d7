//! `[[test]]`: examples in the policy that are tried at every load, so that a
//! change that means something else is refused before it is used.

use serde::Serialize;
use strongroom_protocol::rules::{Decision, decide};

use crate::check::argv;
use crate::diagnostics::Diagnostics;
use crate::load::Loaded;
use crate::model::{ActionWord, Test};
use strongroom_protocol::plan::Action;

/// What came of one example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestResult {
    /// Its name.
    pub name: String,
    /// Where it stands, `file:line`.
    pub place: String,
    /// Whether it came out as expected.
    pub passed: bool,
    /// What was expected, such as ``ask by `git-push` ``.
    pub expected: String,
    /// What came out.
    pub got: String,
}

/// Tries every example of a policy.
#[must_use]
pub fn run_tests(loaded: &Loaded) -> Vec<TestResult> {
    loaded.policy.test.iter().map(|test| run(loaded, test)).collect()
}

/// The examples that did not come out as expected.
#[must_use]
pub fn failures(loaded: &Loaded) -> Diagnostics {
    let mut found = Diagnostics::default();
    for test in &loaded.policy.test {
        let result = run(loaded, test);
        if !result.passed {
            let message = format!("test `{}` fails: {}", result.name, result.got);
            found.error(test.expect.action.site(), message, result.expected);
        }
    }
    found
}

fn run(loaded: &Loaded, test: &Test) -> TestResult {
    // A command that is none was reported by the checks.
    let decided = argv(&test.argv).and_then(|argv| decide(&loaded.rules, &argv, None).ok());
    let wanted_action: Action = (*test.expect.action).into();
    let action = decided.map_or(Action::Deny, |d| d.action);
    let rule = decided.map(|d| d.rule.name.as_str());
    let wanted_rule = test.expect.rule.as_ref().map(|rule| rule.as_str());
    TestResult {
        name: test.name.to_string(),
        place: test.name.site().short(),
        passed: action == wanted_action && wanted_rule.is_none_or(|wanted| rule == Some(wanted)),
        expected: said(*test.expect.action, wanted_rule),
        got: outcome(decided.as_ref()),
    }
}

fn said(action: ActionWord, rule: Option<&str>) -> String {
    let action: Action = action.into();
    rule.map_or_else(|| action.to_string(), |rule| format!("{action} by `{rule}`"))
}

/// A decision in words.
#[must_use]
pub fn outcome(decided: Option<&Decision<'_>>) -> String {
    match decided {
        Some(d) => format!("{} by `{}`", d.action, d.rule.name.as_str()),
        None => "deny, as no rule matches".to_owned(),
    }
}
