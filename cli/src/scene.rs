//! What is known about this place before a policy is compiled for it.

use std::path::{Path, PathBuf};

use strongroom_policy::Place;

use crate::place::{Reached, Who};
use crate::workspace::Workspace;

/// The place of a session.
#[derive(Debug)]
pub struct Scene {
    /// The folder the agent works in.
    pub workspace: Workspace,
    /// Who runs as whom.
    pub who: Who,
    /// What is used of the place.
    pub reached: Reached,
    /// Landlock ABI of the kernel.
    pub landlock_abi: u8,
}

impl Scene {
    /// It, as the policy's compiler wants to know it: with nobody's
    /// environment, for an agent without a name.
    pub fn place(&self, state: PathBuf, programs: &Path, leases: Option<PathBuf>) -> Place {
        Place {
            tier: self.reached.tier,
            namespaces: self.reached.namespaces,
            proc_view: self.reached.proc_view,
            landlock_abi: self.landlock_abi,
            sandbox: self.who.sandbox,
            broker: self.who.broker,
            recorder: self.who.recorder,
            workspace: self.workspace.path.clone(),
            state,
            programs: programs.to_owned(),
            leases,
            session: [0; 16],
            environment: Vec::new(),
            agent_argv: vec!["AGENT".into()],
            agent_cwd: self.workspace.path.clone(),
        }
    }
}
