//! `strongroom policy …`: what each verb prints, and its exit status. The
//! command line only passes text through.

use std::path::Path;

use serde::Serialize;
use serde_json::json;
use strongroom_protocol::codes::{Code, exit};
use strongroom_protocol::plan::Plan;
use strongroom_protocol::text::hex;
use strongroom_protocol::types::{Arg, Argv};

use crate::approvals::Asking;
use crate::compile::{Place, compile_with_warnings};
use crate::diagnostics::Diagnostics;
use crate::load::{Loaded, load, load_untested};
use crate::model::{ActionWord, PlainWord};
use crate::tests_in_file::run_tests;

/// What to print, and the exit status: 0 or 78.
pub type Said = (String, i32);

fn ok(text: String) -> Said {
    (text, 0)
}

fn refused(found: &Diagnostics, json: bool) -> Said {
    let text = if json {
        pretty(&json!({ "valid": false, "diagnostics": found.list, "left_out": found.left_out }))
    } else {
        format!("{found}\n")
    };
    (text, exit::CONFIG)
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).map_or_else(|_| String::new(), |text| text + "\n")
}

/// `policy check`: loads a policy, its tests included.
#[must_use]
pub fn check(file: Option<&Path>, json: bool) -> Said {
    let loaded = match load(file) {
        Ok(loaded) => loaded,
        Err(found) => return refused(&found, json),
    };
    let names: Vec<&str> = loaded.sources.iter().map(|s| s.name.as_str()).collect();
    let policy = &loaded.policy;
    if json {
        return ok(pretty(&json!({
            "valid": true,
            "files": names,
            "digest": hex(&loaded.digest),
            "profiles": policy.profile.len(),
            "rules": policy.rule.len(),
            "tests": policy.test.len(),
            "asking": asking(&loaded),
            "diagnostics": loaded.warnings.list,
        })));
    }
    let mut text = String::new();
    if !loaded.warnings.list.is_empty() {
        text = format!("{}\n\n", loaded.warnings);
    }
    text += &format!(
        "valid: {} rules, {} profiles, {} tests passed\n",
        policy.rule.len(),
        policy.profile.len(),
        policy.test.len(),
    );
    if let Some(asking) = asking(&loaded) {
        text += &format!("asking: {asking}\n");
    }
    text += &format!("files: {}\ndigest: {}\n", names.join(", "), hex(&loaded.digest));
    ok(text)
}

/// What asking means, where the policy asks anywhere.
fn asking(loaded: &Loaded) -> Option<Asking> {
    let policy = &loaded.policy;
    let asks = policy.rule.iter().any(|rule| *rule.action == ActionWord::Ask)
        || policy.credential.values().any(|c| c.plain.as_deref() == Some(&PlainWord::Ask));
    asks.then(|| Asking::of(&policy.approvals))
}

/// `policy explain`: what would come of a command.
#[must_use]
pub fn explain(file: Option<&Path>, argv: &[Vec<u8>], json: bool) -> Said {
    let loaded = match load(file) {
        Ok(loaded) => loaded,
        Err(found) => return refused(&found, json),
    };
    let args: Option<Vec<Arg>> = argv.iter().map(|arg| Arg::new(arg.as_slice()).ok()).collect();
    let Some(argv) = args.and_then(|args| Argv::new(args).ok()) else {
        let mut found = Diagnostics::default();
        found.error_as(Code::BadRequest, None, "not a command", "a program and its arguments");
        return refused(&found, json);
    };
    let explanation = crate::explain::explain(&loaded, &argv);
    ok(if json { pretty(&explanation) } else { explanation.to_string() })
}

/// `policy test`: the tests in the file, one line each.
#[must_use]
pub fn test(file: Option<&Path>, json: bool) -> Said {
    let loaded = match load_untested(file) {
        Ok(loaded) => loaded,
        Err(found) => return refused(&found, json),
    };
    let results = run_tests(&loaded);
    let failed = results.iter().filter(|result| !result.passed).count();
    let status = if failed == 0 { 0 } else { exit::CONFIG };
    if json {
        return (pretty(&json!({ "failed": failed, "tests": results })), status);
    }
    let mut text = String::new();
    for result in &results {
        text += &if result.passed {
            format!("ok    {}\n", result.name)
        } else {
            let (name, place) = (&result.name, &result.place);
            format!("FAIL  {name} ({place}): expected {}, got {}\n", result.expected, result.got)
        };
    }
    text += &format!("{} passed, {failed} failed\n", results.len() - failed);
    (text, status)
}

/// `policy schema`: the JSON Schema of a policy file.
#[must_use]
pub fn schema() -> Said {
    ok(pretty(&crate::schema::schema()))
}

/// `policy compile`: the plan for a place, for people or as JSON.
#[must_use]
pub fn compile_dump(file: Option<&Path>, place: &Place, json: bool) -> Said {
    let loaded = match load(file) {
        Ok(loaded) => loaded,
        Err(found) => return refused(&found, json),
    };
    match compile_with_warnings(&loaded, place) {
        Ok((plan, warnings)) if json => {
            let mut dump = crate::dump::dump(&plan);
            if let Some(dump) = dump.as_object_mut() {
                dump.insert("diagnostics".to_owned(), json!(warnings.list));
            }
            ok(pretty(&dump))
        }
        Ok((plan, warnings)) => {
            let before =
                if warnings.list.is_empty() { String::new() } else { format!("{warnings}\n\n") };
            ok(before + &people(&plan))
        }
        Err(found) => refused(&found, json),
    }
}

/// The plan, shown as the few things an operator looks for.
fn people(plan: &Plan) -> String {
    let mut text = format!(
        "tier       {}\nworkspace  {}\nstate      {}\ndigest     {}\n",
        plan.tier,
        plan.workspace.display(),
        plan.state.display(),
        hex(&plan.policy_digest),
    );
    if let Some(leases) = &plan.leases {
        text += &format!("sealed     {}\n", leases.folder.display());
    }
    for profile in &plan.profiles {
        text += &format!("\nprofile {} (network {})\n", profile.name.as_str(), profile.network);
        for rule in &profile.paths {
            text += &format!("  {:<6} {}\n", rule.access, rule.path.display());
        }
        for (on, what) in [(profile.tmp, "a private folder"), (profile.shm, "/dev/shm")] {
            if on {
                text += &format!("  write  {what}\n");
            }
        }
        let names: Vec<String> = profile.env.iter().map(|var| var.name.display()).collect();
        text += &format!("  env    {}\n", names.join(" "));
    }
    text.push('\n');
    for rule in &plan.rules {
        let words: Vec<String> = rule.pattern.iter().map(crate::dump::word).collect();
        text +=
            &format!("{:<6} {}: {}\n", rule.action.as_str(), rule.name.as_str(), words.join(" "));
        for name in &rule.credentials {
            text += &format!("       carries {}\n", name.as_str());
        }
    }
    text
}
