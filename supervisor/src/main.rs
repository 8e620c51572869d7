//! `strongroom-supervisor`: started by `strongroom run` with the sealed plan
//! as descriptor 3, the state folder's lock as 4, and no environment.
//!
//! PID 1 of a container, or a child subreaper elsewhere. One thread, one poll
//! loop. It parses fixed-size frames from its own processes and nothing else.
//!
//! * [`start`]: makes the sockets, starts recorder, broker and zygotes.
//! * [`session`]: the poll loop, from the agent's start to the last exit.
//! * [`pool`]: one profile's zygote and its workers kept ready.
//! * [`agent`]: the agent's jail, launched like any worker's, by us.
//! * [`account`]: what we tell the recorder.
//! * [`port`]: one end of a channel.
#![forbid(unsafe_code)]

mod account;
mod agent;
mod orphans;
mod pool;
mod port;
mod session;
mod start;

use strongroom_protocol::codes::Code;

/// Why the supervisor gives up: a code, and words for the operator.
#[derive(Debug)]
struct Fatal {
    code: Code,
    text: String,
}

impl Fatal {
    fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

fn main() {
    let status = match start::start().and_then(session::Session::run) {
        Ok(status) => status,
        Err(Fatal { code, text }) => {
            eprintln!("strongroom: {code}: {}: {text}", code.entry().what);
            code.entry().exit
        }
    };
    std::process::exit(status);
}
