//! Layers: groups and uid, capabilities. Both are read back: a set-uid call
//! that succeeds and leaves a way back is CVE material (setuid(2), Notes).

use caps::{CapSet, Capability};
use nix::unistd::{self, Gid, Uid};
use strongroom_protocol::plan::Ids;
use strongroom_protocol::stage::Stage;
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
    let may = caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP);
    if may.map_err(|_| refused(Stage::Capabilities))? {
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
    let failed = |_| refused(Stage::Capabilities);
    if !caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).map_err(failed)? {
        return Ok(());
    }
    for cap in caps::read(None, CapSet::Bounding).map_err(failed)? {
        if keep.contains(&cap) {
            continue;
        }
        caps::drop(None, CapSet::Bounding, cap).map_err(failed)?;
    }
    Ok(())
}

/// Gives every capability up and checks that none is left.
///
/// # Errors
/// [`Stage::Capabilities`].
pub fn drop_capabilities() -> Step<()> {
    keep_capabilities(&[])
}

/// Gives up every capability but these, and checks that no other is left.
///
/// # Errors
/// [`Stage::Capabilities`].
pub fn keep_capabilities(keep: &[Capability]) -> Step<()> {
    let failed = |_| refused(Stage::Capabilities);
    let held = caps::read(None, CapSet::Permitted).map_err(failed)?;
    let kept = held.into_iter().filter(|c| keep.contains(c)).collect();
    let nothing = caps::CapsHashSet::new();
    caps::set(None, CapSet::Ambient, &nothing).map_err(failed)?;
    caps::set(None, CapSet::Effective, &kept).map_err(failed)?;
    caps::set(None, CapSet::Permitted, &kept).map_err(failed)?;
    caps::set(None, CapSet::Inheritable, &nothing).map_err(failed)?;
    for (set, expected) in [
        (CapSet::Ambient, &nothing),
        (CapSet::Effective, &kept),
        (CapSet::Permitted, &kept),
        (CapSet::Inheritable, &nothing),
    ] {
        if caps::read(None, set).map_err(failed)? != *expected {
            return Err(refused(Stage::Capabilities));
        }
    }
    Ok(())
}
