//! `strongroom`: starts a session (`run`), talks to one (`exec`, `write`,
//! `credentials`, `approvals`, `status`, …), looks after the vault, explains places,
//! policies and codes.
//!
//! `run` only prepares: it compiles the policy to a plan and then becomes the
//! supervisor, so that nothing of this large program stays in a session.
#![forbid(unsafe_code)]

mod agent;
mod announce;
mod api;
mod approvals;
mod args;
mod audit;
mod columns;
mod credentials;
mod docs;
mod doctor;
mod equip;
mod error;
mod exec;
mod explain;
mod facts;
mod found;
mod inbox;
mod intake;
mod key;
mod leases;
mod log;
mod operator;
mod place;
mod policy;
mod programs;
mod prompt;
mod reach;
mod relay;
mod report;
mod run;
#[cfg(test)]
mod sample;
mod scene;
mod secret;
mod signals;
mod state;
mod store;
mod style;
mod supply;
mod tree;
mod tty;
mod value;
mod vault;
mod witness;
mod workspace;
mod write;

use std::process::ExitCode;

use crate::args::{Cli, Verb};
use crate::error::Failure;

fn main() -> ExitCode {
    // Before anything opens a file: it must not land on 0, 1 or 2.
    if let Err(errno) = strongroom_sys::fd::fill_standard() {
        eprintln!("strongroom: SR710: /dev/null cannot be opened: {errno}");
        return ExitCode::from(125);
    }
    let cli = Cli::read();
    let stdout_is_ours = !matches!(cli.verb, Verb::Run(_));
    let status = dispatch(&cli).unwrap_or_else(|failure| failure.report(cli.json, stdout_is_ours));
    ExitCode::from(u8::try_from(status).unwrap_or(125))
}

fn dispatch(cli: &Cli) -> Result<i32, Failure> {
    match &cli.verb {
        Verb::Run(args) => match run::run(args, cli.json)? {},
        Verb::Exec(args) => exec::exec(args, cli.json),
        Verb::Write(args) => write::write(args, cli.json),
        Verb::Read(args) => write::read(args, cli.json),
        Verb::Log(args) => log::log(args, cli.json),
        Verb::Credentials(args) => credentials::credentials(args, cli.json),
        Verb::Vault(args) => vault::vault(args, cli.json),
        Verb::Api => api::api(),
        Verb::Mcp => api::mcp(),
        Verb::AskApproval(args) => approvals::ask(args, cli.json),
        Verb::Approvals(args) => approvals::approvals(args, cli.json),
        Verb::Inbox(args) => inbox::inbox(args),
        Verb::Status(args) => operator::status(args, cli.json),
        Verb::Kill(args) => operator::kill(args, cli.json),
        Verb::Audit(args) => audit::audit(args, cli.json),
        Verb::Doctor => Ok(doctor::doctor(cli.json)),
        Verb::Explain(args) => Ok(explain::explain(args.code, cli.json)),
        Verb::Policy(args) => policy::policy(args, cli.json),
        Verb::Completions(args) => Ok(docs::completions(args.shell)),
        Verb::Man(args) => docs::man(args.folder.as_deref()),
        Verb::Docs(args) => Ok(docs::document(args.document)),
    }
}
