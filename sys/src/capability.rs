//! Capability sets (capabilities(7)), a whole set in one call.

use crate::{Errno, Result, check};

/// Three sets, one bit for each capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sets {
    /// Used in checks.
    pub effective: u64,
    /// What may become effective.
    pub permitted: u64,
    /// Kept by the exec of a file that has it, too.
    pub inheritable: u64,
}

/// `_LINUX_CAPABILITY_VERSION_3`: two words of 32 bits for each set.
const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Words {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// This thread's sets.
///
/// # Errors
/// errno of capget(2).
pub fn own() -> Result<Sets> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut words = [Words { effective: 0, permitted: 0, inheritable: 0 }; 2];
    // SAFETY: version 3 wants this header and two of these structs; all live.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, words.as_mut_ptr()) })?;
    let [low, high] = words;
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    Ok(Sets {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

/// Sets this thread's sets. What is not both permitted and inheritable
/// afterwards is no longer ambient either (cap_capset in the kernel's
/// security/commoncap.c).
///
/// # Errors
/// errno of capset(2).
pub fn set(sets: Sets) -> Result<()> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let half = |by: u32| {
        let word = |set: u64| ((set >> by) & u64::from(u32::MAX)) as u32;
        Words {
            effective: word(sets.effective),
            permitted: word(sets.permitted),
            inheritable: word(sets.inheritable),
        }
    };
    let words = [half(0), half(32)];
    // SAFETY: version 3 wants this header and two of these structs; all live.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, words.as_ptr()) }).map(drop)
}

/// Clears the ambient set.
///
/// # Errors
/// errno of prctl(2).
pub fn clear_ambient() -> Result<()> {
    let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong;
    // SAFETY: this option takes integers only.
    check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, clear, 0, 0, 0) }.into()).map(drop)
}

/// Takes every capability that the kernel knows and that is not in `keep` out
/// of the bounding set.
///
/// # Errors
/// errno of prctl(2); `EPERM` without CAP_SETPCAP.
pub fn bound_to(keep: u64) -> Result<()> {
    for number in 0..u64::BITS {
        if keep & (1 << number) != 0 {
            continue;
        }
        // SAFETY: this option takes integers only.
        let dropped =
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) };
        match check(dropped.into()) {
            // Beyond the last one; there is none after it.
            Err(Errno::EINVAL) if number > 0 => return Ok(()),
            other => other?,
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_the_kernel_says() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = |name: &str| {
            let found = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(found.trim(), 16).unwrap()
        };
        let own = own().unwrap();
        assert_eq!(own.effective, line("CapEff:"));
        assert_eq!(own.permitted, line("CapPrm:"));
        assert_eq!(own.inheritable, line("CapInh:"));
    }

    /// In a thread, which alone loses them.
    #[test]
    fn what_is_given_up_is_gone() {
        let lost = std::thread::spawn(|| {
            let before = own().unwrap();
            // The highest one there is, so that both words count.
            let kept = before.permitted & !(1 << 40) & !1;
            set(Sets { effective: kept, permitted: kept, inheritable: 0 }).unwrap();
            assert_eq!(set(before).is_err(), kept != before.permitted);
            own().unwrap() == Sets { effective: kept, permitted: kept, inheritable: 0 }
        });
        assert!(lost.join().unwrap());
    }
}
