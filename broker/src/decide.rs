//! What a request comes to, by the plan and by which credentials are there: no
//! clock, no other state, no I/O.

use strongroom_protocol::channel::w::{Down, Known, Launch};
use strongroom_protocol::codec;
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::{MAX_CREDENTIALS, MAX_PACKET};
use strongroom_protocol::plan::{Action, Plan, Profile, Rule};
use strongroom_protocol::rules;
use strongroom_protocol::types::{Argv, CredentialName, List, Name, PathBytes, ProfileIx, Reason};

/// A request to run a command, as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// The client's number.
    pub tag: u32,
    /// Program and arguments.
    pub argv: Argv,
    /// Working folder.
    pub cwd: Option<PathBytes>,
    /// The rule asked for.
    pub rule: Option<Name>,
    /// The time asked for, milliseconds.
    pub timeout_ms: Option<u64>,
    /// Credentials asked for.
    pub credentials: List<CredentialName, MAX_CREDENTIALS>,
    /// The agent's own words.
    pub reason: Option<Reason>,
    /// How long it waits for a human, milliseconds; `None`: to the end.
    pub patience_ms: Option<u64>,
}

/// A command that may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its jail.
    pub profile: ProfileIx,
    /// What its worker is told.
    pub launch: Box<Launch>,
    /// Bytes of output it may send, both streams together; 0: any.
    pub output: u64,
    /// The credentials it is granted. Their values are looked up when its
    /// jail is finished.
    pub grant: Vec<CredentialName>,
    /// A human must say yes.
    pub asks: bool,
}

/// What a request comes to.
#[derive(Debug)]
pub struct Verdict<'p> {
    /// The rule that decided; `None`: it did not come to that.
    pub rule: Option<&'p Rule>,
    /// Run this, or the reason why not.
    pub task: Result<Task, Code>,
}

impl Verdict<'_> {
    /// A refusal that no rule of the policy made.
    #[must_use]
    pub fn refused(code: Code) -> Self {
        Self { rule: None, task: Err(code) }
    }
}

/// Holds a request against the plan. `there` says whether a credential's value
/// is.
#[must_use]
pub fn decide<'p>(
    plan: &'p Plan,
    request: &Request,
    there: &dyn Fn(&CredentialName) -> bool,
) -> Verdict<'p> {
    let cwd = match request.cwd.as_ref().map(|cwd| beneath(&plan.workspace, cwd)).transpose() {
        Ok(cwd) => cwd.flatten(),
        Err(Outside) => return Verdict::refused(Code::CwdOutside),
    };
    let decision = match rules::decide(&plan.rules, &request.argv, request.rule.as_ref()) {
        Ok(decision) => decision,
        Err(code) => return Verdict::refused(code),
    };
    let task = match decision.action {
        Action::Deny => Err(Code::RuleDenies),
        Action::Ask | Action::Allow => grant(decision.rule, request.credentials.as_slice(), there)
            .and_then(|grant| task(plan, decision.rule, request, cwd, grant)),
    };
    Verdict { rule: Some(decision.rule), task }
}

/// What the rule grants: all that it names or, where the caller named some,
/// those alone. There is one answer for a credential that does not exist, one
/// that is not the rule's and one whose value is not there, and all are looked
/// at before it is given.
fn grant(
    rule: &Rule,
    asked: &[CredentialName],
    there: &dyn Fn(&CredentialName) -> bool,
) -> Result<Vec<CredentialName>, Code> {
    let wanted = if asked.is_empty() { rule.credentials.as_slice() } else { asked };
    let missing = wanted
        .iter()
        .map(|name| rule.credentials.contains(name) & there(name))
        .fold(0, |missing, granted| missing + usize::from(!granted));
    let mut granted = wanted.to_vec();
    granted.sort();
    granted.dedup();
    if missing == 0 { Ok(granted) } else { Err(Code::CredentialRefused) }
}

fn task(
    plan: &Plan,
    rule: &Rule,
    request: &Request,
    cwd: Option<PathBytes>,
    grant: Vec<CredentialName>,
) -> Result<Task, Code> {
    let jail = plan.profile(rule.profile).ok_or(Code::Internal)?;
    let launch = Box::new(Launch {
        argv: request.argv.clone(),
        cwd,
        secrets: List::empty(),
        firm: !grant.is_empty() && !rule.understood,
        wall_ms: wall(jail, request.timeout_ms)?,
        known: None,
    });
    let launch = fitting(jail, launch)?;
    let asks = rule.action == Action::Ask;
    Ok(Task { profile: rule.profile, launch, output: jail.limits.output, grant, asks })
}

/// The time a command gets, milliseconds; 0: any.
fn wall(jail: &Profile, asked: Option<u64>) -> Result<u64, Code> {
    let most = jail.limits.wall_ms;
    match asked {
        None => Ok(most),
        Some(0) => Err(Code::BadTimeout),
        Some(asked) if most != 0 && asked > most => Err(Code::BadTimeout),
        Some(asked) => Ok(asked),
    }
}

/// Passes a launch that fits one packet together with the environment its
/// worker adds from the profile, and with what is known of its program. Checked
/// here, before anything is spawned.
fn fitting(jail: &Profile, launch: Box<Launch>) -> Result<Box<Launch>, Code> {
    // Two lengths of eight bytes and the bytes themselves, as on the wire.
    let env: usize = jail
        .env
        .iter()
        .map(|var| 16 + var.name.as_bytes().len() + var.value.as_bytes().len())
        .sum();
    let down = Down::Launch { launch };
    let packet = codec::encode(&down).map_err(|_| Code::RequestTooBig)?;
    match down {
        Down::Launch { launch } if packet.len() + env + Known::SIZE <= MAX_PACKET => Ok(launch),
        _ => Err(Code::RequestTooBig),
    }
}

/// A path leads out of the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outside;

/// A path relative to the workspace; `None`: the workspace itself. Only the
/// text is looked at: a worker opens it beneath the workspace, and follows no
/// link out of it.
///
/// # Errors
/// [`Outside`].
pub fn beneath(workspace: &PathBytes, path: &PathBytes) -> Result<Option<PathBytes>, Outside> {
    let mut parts = components(path.as_bytes());
    if path.as_bytes().starts_with(b"/") {
        for wanted in components(workspace.as_bytes()) {
            if parts.next() != Some(wanted) {
                return Err(Outside);
            }
        }
    }
    let parts: Vec<&[u8]> = parts.collect();
    if parts.contains(&b"..".as_slice()) {
        return Err(Outside);
    }
    if parts.is_empty() {
        return Ok(None);
    }
    // Not longer than what came in, so it is a path.
    PathBytes::new(parts.join(&b'/')).map(Some).map_err(|_| Outside)
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".")
}
