//! The paths of one profile in one place: tokens expanded, links followed,
//! everything that must not be reachable refused.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::{Access, PathRule};
use strongroom_protocol::types::PathBytes;

use crate::compile::Place;
use crate::diagnostics::Diagnostics;
use crate::model::{Items, Profile};
use crate::paths::{List, Word, parse};
use crate::resolve::walk;
use crate::source::{At, Site};
use crate::system;

/// Name of the agent's own folder in the state folder.
pub const HOME: &str = "home";

/// Commands share it where they have no mounts of their own (shm_overview(7)).
const SHM: &str = "/dev/shm";

/// What the jails may touch, found once for all profiles.
pub struct Ground<'a> {
    place: &'a Place,
    /// The operator's policy files.
    policy_files: Vec<PathBuf>,
    /// Where jailed code can change names: nothing is followed from there.
    changeable: Vec<PathBuf>,
    /// Links a new root must show.
    pub links: BTreeMap<PathBuf, PathBuf>,
    /// What is wrong.
    pub found: Diagnostics,
}

/// The paths of one profile.
#[derive(Default)]
pub struct Grant {
    paths: BTreeMap<PathBuf, Access>,
    /// `@tmp`
    pub tmp: bool,
    /// `@shm`
    pub shm: bool,
    /// `@home`
    pub home: bool,
}

impl<'a> Ground<'a> {
    /// Looks at all profiles for what they let jailed code change.
    #[must_use]
    pub fn new<'p>(
        place: &'a Place,
        policy_files: Vec<PathBuf>,
        profiles: impl Iterator<Item = &'p Profile>,
    ) -> Self {
        let mut changeable = vec![place.workspace.clone(), place.state.join(HOME)];
        for word in profiles.flat_map(|p| p.write.iter()).flat_map(|list| list.iter()) {
            match parse(word, List::Write) {
                Ok(Word::Literal { path, .. }) => {
                    changeable.extend(walk(&path).map(|w| w.real));
                    changeable.push(path);
                }
                Ok(Word::Shm) => changeable.push(PathBuf::from(SHM)),
                _ => {}
            }
        }
        Self {
            place,
            policy_files,
            changeable,
            links: BTreeMap::new(),
            found: Diagnostics::default(),
        }
    }

    /// The paths of one profile.
    pub fn grant(&mut self, profile: &Profile) -> Grant {
        let mut grant = Grant::default();
        for (list, words) in [(List::Read, &profile.read), (List::Write, &profile.write)] {
            for word in words.iter().flat_map(|items| items.iter()) {
                self.word(&mut grant, word, list);
            }
        }
        if let Some(deny) = &profile.deny {
            self.deny(&grant, deny);
        }
        grant
    }

    /// Where jailed code can change what a path leads to: the path, or a link
    /// or folder on its way, lies there.
    #[must_use]
    pub fn changeable(&self, path: &Path) -> Option<&Path> {
        // Of a path that leads nowhere yet, as far as it leads.
        let led = path.ancestors().find_map(|part| {
            let found = walk(part).ok()?;
            Some((found, path.strip_prefix(part).ok()?))
        });
        let mut ways = vec![path.to_path_buf()];
        if let Some((found, rest)) = led {
            ways.push(found.real.join(rest));
            ways.extend(found.links.into_iter().map(|(stands, _)| stands));
        }
        let root = |root: &&PathBuf| ways.iter().any(|way| way.starts_with(root));
        self.changeable.iter().find(root).map(PathBuf::as_path)
    }

    fn word(&mut self, grant: &mut Grant, at: &At<String>, list: List) {
        // Its grammar was checked at load.
        let Ok(word) = parse(at, list) else { return };
        let access = if list == List::Write { Access::Write } else { Access::Read };
        match word {
            Word::Tmp => grant.tmp = true,
            Word::Shm => grant.shm = true,
            Word::Home => {
                grant.home = true;
                // Made by the supervisor, so it may not be there yet.
                grant.add(self.place.state.join(HOME), Access::Write);
            }
            Word::System => {
                self.device_links();
                self.token(grant, at, system::system());
            }
            Word::Dev => {
                self.device_links();
                self.token(grant, at, system::devices());
            }
            Word::Proc => self.token(grant, at, system::proc()),
            Word::Workspace { beneath, optional } => {
                let path = if beneath.as_os_str().is_empty() {
                    self.place.workspace.clone()
                } else {
                    self.place.workspace.join(beneath)
                };
                self.literal(grant, at, &path, optional, access);
            }
            Word::Literal { path, optional } => self.literal(grant, at, &path, optional, access),
        }
    }

    fn device_links(&mut self) {
        for (path, target) in system::DEVICE_LINKS {
            if Path::new(path).is_symlink() {
                self.links.insert(PathBuf::from(path), PathBuf::from(target));
            }
        }
    }

    /// Those of a token's paths that exist here.
    fn token(&mut self, grant: &mut Grant, at: &At<String>, paths: Vec<(PathBuf, Access)>) {
        for (path, access) in paths {
            let Ok(found) = walk(&path) else { continue };
            // A device that is a link is not the device we mean.
            if access == Access::Write && !found.links.is_empty() {
                continue;
            }
            self.follow(at.site(), &path, &found.links);
            if self.may_reach(at.site(), &found.real, Access::Read) {
                grant.add(found.real, access);
            }
        }
    }

    fn literal(
        &mut self,
        grant: &mut Grant,
        at: &At<String>,
        path: &Path,
        optional: bool,
        access: Access,
    ) {
        let shown = path.display();
        let found = match walk(path) {
            Ok(found) => found,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound && optional => {
                self.found.warn(at.site(), format!("{shown} does not exist and is left out"), "");
                return;
            }
            Err(why) => {
                let hint = "a path that exists; `?` at its end lets it be missing";
                self.found.error(at.site(), format!("{shown}: {why}"), hint);
                return;
            }
        };
        if access == Access::Write && !found.links.is_empty() {
            self.found.error(
                at.site(),
                format!("{shown} leads through a symbolic link, and is to be writable"),
                format!("the path it leads to: {}", found.real.display()),
            );
            return;
        }
        self.follow(at.site(), path, &found.links);
        if self.may_reach(at.site(), &found.real, access) {
            grant.add(found.real, access);
        }
    }

    /// Keeps the links for a new root, and refuses those jailed code can turn.
    fn follow(&mut self, site: &Site, path: &Path, links: &[(PathBuf, PathBuf)]) {
        for (stands, target) in links {
            if self.changeable.iter().any(|root| stands.starts_with(root)) {
                self.found.error(
                    site,
                    format!(
                        "{} leads through {}, a link that jailed code can change",
                        path.display(),
                        stands.display()
                    ),
                    "a path without that link",
                );
            }
            self.links.insert(stands.clone(), target.clone());
        }
    }

    /// Refuses what would open Strongroom's own files.
    fn may_reach(&mut self, site: &Site, real: &Path, access: Access) -> bool {
        let shown = real.display();
        let state = &self.place.state;
        if real.starts_with(state) || state.starts_with(real) {
            let message = format!("{shown} would open the state folder {}", state.display());
            self.found.error(site, message, "folders that neither hold it nor lie in it");
            return false;
        }
        if access == Access::Read {
            return true;
        }
        let programs = &self.place.programs;
        let own = self.policy_files.iter().map(|file| (file, "the policy file"));
        for (path, what) in own.chain([(programs, "the folder of Strongroom's programs")]) {
            if path.starts_with(real) || (real.starts_with(path) && path == programs) {
                let message = format!("{shown} would make {what} writable: {}", path.display());
                self.found.error(site, message, "it to lie elsewhere, or a narrower path");
                return false;
            }
        }
        // Checked here too, because a link may lead there.
        if ["/proc", "/sys", "/dev"].iter().any(|kernel| real.starts_with(kernel)) {
            self.found.error(site, format!("{shown} may not be writable"), "a folder on a disk");
            return false;
        }
        true
    }

    /// The kernel's rules only add. A hole in what is given cannot be cut, so
    /// a policy that asks for one is refused, never half obeyed.
    fn deny(&mut self, grant: &Grant, deny: &Items) {
        for at in deny.iter() {
            let path = match parse(at, List::Deny) {
                Ok(Word::Literal { path, .. }) => path,
                Ok(Word::Workspace { beneath, .. }) => self.place.workspace.join(beneath),
                _ => continue,
            };
            let real = walk(&path).map_or_else(|_| path.clone(), |found| found.real);
            let overlap = grant.paths.keys().find(|given| {
                [&path, &real].iter().any(|p| p.starts_with(given) || given.starts_with(p))
            });
            match overlap {
                Some(given) => self.found.error_as(
                    Code::PolicyInexpressible,
                    Some(at.site()),
                    format!(
                        "{} cannot be denied: it overlaps {}, which this profile gives, and \
                         Landlock rules only add",
                        path.display(),
                        given.display()
                    ),
                    format!("the wanted entries of {} one by one instead", given.display()),
                ),
                None => self.found.warn(
                    at.site(),
                    format!("{} is not given by this profile anyway", path.display()),
                    "nothing here",
                ),
            }
        }
    }
}

impl Grant {
    /// Adds a path; writing includes reading.
    pub fn add(&mut self, path: PathBuf, access: Access) {
        let given = self.paths.entry(path).or_insert(access);
        *given = access.max(*given);
    }

    /// The rules, parents first, without those that a parent includes: they
    /// would mean nothing where rules only add.
    #[must_use]
    pub fn rules(&self) -> Vec<PathRule> {
        let included = |path: &Path, access: Access| {
            path.ancestors().skip(1).any(|up| self.paths.get(up).is_some_and(|a| *a >= access))
        };
        self.paths
            .iter()
            .filter(|(path, access)| !included(path, **access))
            .filter_map(|(path, access)| {
                let path = PathBytes::new(path.as_os_str().as_bytes()).ok()?;
                Some(PathRule { path, access: *access })
            })
            .collect()
    }

    /// Whether a path can be read.
    #[must_use]
    pub fn covers(&self, path: &Path) -> bool {
        path.ancestors().any(|up| self.paths.contains_key(up))
    }
}
