//! A folder with policies in it, and a place to compile them for.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use strongroom_policy::{Diagnostics, Loaded, Place, load};
use strongroom_protocol::plan::{Ids, Namespaces, Plan};
use strongroom_protocol::receipt::{ProcView, Tier};

pub struct Folder {
    _temp: tempfile::TempDir,
    pub root: PathBuf,
}

impl Folder {
    pub fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        for folder in ["workspace", "state", "programs"] {
            std::fs::create_dir(root.join(folder)).unwrap();
        }
        Self { _temp: temp, root }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Loads a text as a file that builds on `builtin:base`.
    pub fn load(&self, text: &str) -> Loaded {
        load(Some(&self.write("policy.toml", on_base(text)))).unwrap_or_else(|d| panic!("{d}"))
    }

    pub fn compile(&self, text: &str) -> Result<Plan, Diagnostics> {
        strongroom_policy::compile(&self.load(text), &self.place())
    }

    pub fn place(&self) -> Place {
        place(&self.root)
    }
}

pub fn on_base(text: &str) -> String {
    format!("version = 1\nextends = [\"builtin:base\"]\n{text}")
}

pub fn place(root: &Path) -> Place {
    Place {
        tier: Tier::Full,
        namespaces: Namespaces::Privileged,
        proc_view: ProcView::Own,
        landlock_abi: 7,
        sandbox: Ids { uid: 1000, gid: 1000 },
        broker: Ids { uid: 1001, gid: 1001 },
        recorder: Ids { uid: 1002, gid: 1002 },
        workspace: root.join("workspace"),
        state: root.join("state"),
        programs: root.join("programs"),
        session: [7; 16],
        environment: vec![
            ("TERM".into(), "xterm".into()),
            ("LD_PRELOAD".into(), "/evil.so".into()),
            ("GITHUB_TOKEN".into(), "canary".into()),
        ],
        agent_argv: vec!["true".into()],
        agent_cwd: root.join("workspace"),
        leases: Some("/run/strongroom/leases".into()),
    }
}

/// The paths of a profile, as `r PATH` and `w PATH`.
pub fn paths(plan: &Plan, profile: &str) -> Vec<String> {
    plan.profiles
        .iter()
        .find(|p| p.name.as_str() == profile)
        .expect("the profile")
        .paths
        .iter()
        .map(|rule| format!("{} {}", &rule.access.as_str()[..1], rule.path.display()))
        .collect()
}
