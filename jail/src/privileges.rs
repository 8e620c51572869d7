//! Layers: groups and uid, capabilities. Both are read back: a set-uid call
//! that succeeds and leaves a way back is CVE material (setuid(2), Notes).

use caps::Capability;
use nix::unistd::{self, Gid, Uid};
use strongroom_protocol::plan::Ids;
use strongroom_protocol::stage::Stage;
use strongroom_sys::capability::{self, Sets};
use strongroom_sys::{Errno, process};

use crate::{At, Step, refused};

/// Becomes this user and group, with no other group, for good.
///
/// A process that already is that user and may not change its groups keeps
/// them: without privilege nothing can be taken away.
///
/// # Errors
/// [`Stage::Ids`].
pub fn become_user(ids: Ids) -> Step<()> {
    let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
    let already = unistd::getuid() == uid && unistd::getgid() == gid;
    match unistd::setgroups(&[gid]) {
        Err(Errno::EPERM) if already => {}
        other => other.at(Stage::Ids)?,
    }
    unistd::setresgid(gid, gid, gid).at(Stage::Ids)?;
    unistd::setresuid(uid, uid, uid).at(Stage::Ids)?;
    prove_user(ids)
}

/// Checks that this process is that user in every respect and cannot become
/// root again.
///
/// # Errors
/// [`Stage::Ids`].
pub fn prove_user(ids: Ids) -> Step<()> {
    let uids = unistd::getresuid().at(Stage::Ids)?;
    let gids = unistd::getresgid().at(Stage::Ids)?;
    let settled = [uids.real, uids.effective, uids.saved].iter().all(|u| u.as_raw() == ids.uid)
        && [gids.real, gids.effective, gids.saved].iter().all(|g| g.as_raw() == ids.gid);
    let root = Uid::from_raw(0);
    let back = ids.uid != 0 && unistd::setresuid(root, root, root).is_ok();
    if settled && !back { Ok(()) } else { Err(refused(Stage::Ids)) }
}

/// Empties the bounding set and locks the secure bits, as far as this process
/// may (CAP_SETPCAP).
///
/// # Errors
/// [`Stage::Capabilities`].
pub fn empty_bounding_set() -> Step<()> {
    if may_bound()? {
        process::lock_securebits().at(Stage::Capabilities)?;
    }
    bound_to(&[])
}

/// Takes everything but these out of the bounding set, as far as this process
/// may (CAP_SETPCAP).
///
/// # Errors
/// [`Stage::Capabilities`].
pub fn bound_to(keep: &[Capability]) -> Step<()> {
    if may_bound()? { capability::bound_to(mask(keep)).at(Stage::Capabilities) } else { Ok(()) }
}

fn may_bound() -> Step<bool> {
    let held = capability::own().at(Stage::Capabilities)?;
    Ok(held.effective & Capability::CAP_SETPCAP.bitmask() != 0)
}

fn mask(list: &[Capability]) -> u64 {
    list.iter().fold(0, |mask, cap| mask | cap.bitmask())
}

/// Gives every capability up and checks that none is left.
///
/// # Errors
/// [`Stage::Capabilities`].
pub fn drop_capabilities() -> Step<()> {
    keep_capabilities(&[])
}

/// Gives up every capability but these, and checks that no other is left. None
/// is inheritable, and so none ambient: that set holds only what is both
/// permitted and inheritable (capabilities(7)).
///
/// # Errors
/// [`Stage::Capabilities`].
pub fn keep_capabilities(keep: &[Capability]) -> Step<()> {
    let held = capability::own().at(Stage::Capabilities)?;
    let kept = held.permitted & mask(keep);
    let wanted = Sets { effective: kept, permitted: kept, inheritable: 0 };
    capability::clear_ambient().at(Stage::Capabilities)?;
    capability::set(wanted).at(Stage::Capabilities)?;
    let left = capability::own().at(Stage::Capabilities)?;
    if left == wanted { Ok(()) } else { Err(refused(Stage::Capabilities)) }
}
