//! Layer: namespaces of one's own (namespaces(7)). They come with the clone
//! that makes the worker; what is here is which, and what each still needs.

use std::io::Write as _;

use strongroom_protocol::plan::{Ids, Namespaces, Network};
use strongroom_protocol::receipt::ns;
use strongroom_protocol::stage::Stage;
use strongroom_sys::{mount, process};

use crate::{At, Step};

/// The clone flags for a worker, and the receipt's bits for them.
#[must_use]
pub fn wanted(namespaces: Namespaces, network: Network) -> (i32, u8) {
    let all = [
        (process::flags::USER, ns::USER, namespaces == Namespaces::User),
        (process::flags::PID, ns::PID, true),
        (process::flags::MOUNT, ns::MOUNT, true),
        (process::flags::NET, ns::NET, network != Network::Open),
        (process::flags::IPC, ns::IPC, true),
        (process::flags::UTS, ns::UTS, true),
    ];
    if namespaces == Namespaces::None {
        return (0, 0);
    }
    all.iter()
        .filter(|(_, _, wanted)| *wanted)
        .fold((0, 0), |(flags, bits), (flag, bit, _)| (flags | flag, bits | bit))
}

/// Sets up what the clone left open: the id map of a new user namespace, the
/// host name, the loopback interface where the profile has it.
///
/// # Errors
/// [`Stage::Namespaces`].
pub fn finish(namespaces: Namespaces, network: Network, ids: Ids) -> Step<()> {
    if namespaces == Namespaces::None {
        return Ok(());
    }
    if namespaces == Namespaces::User {
        map_self(ids)?;
    }
    nix::unistd::sethostname("strongroom").at(Stage::Namespaces)?;
    if network == Network::Loopback {
        mount::loopback_up().at(Stage::Namespaces)?;
    }
    Ok(())
}

/// Maps this process's own user and group, and no other, to themselves
/// (user_namespaces(7)): inside as outside, and never to 0.
fn map_self(ids: Ids) -> Step<()> {
    // /proc/self belongs to root while this process is not dumpable.
    process::set_dumpable(true).at(Stage::Namespaces)?;
    let write = |file: &str, text: String| {
        std::fs::OpenOptions::new()
            .write(true)
            .open(file)
            .and_then(|mut f| f.write_all(text.as_bytes()))
            .at(Stage::Namespaces)
    };
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("{0} {0} 1", ids.uid))?;
    write("/proc/self/gid_map", format!("{0} {0} 1", ids.gid))
}
