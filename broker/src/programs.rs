//! Programs that workers have read, so that the next command of the same name
//! need not read it again. Nothing is believed here: a worker takes the digest
//! only for a file that looks exactly the same. One profile's workers say
//! nothing to another's.

use std::collections::VecDeque;

use strongroom_protocol::channel::w::Known;
use strongroom_protocol::limits::MAX_PATH;
use strongroom_protocol::types::ProfileIx;

/// As many are kept; the one not used for longest goes first.
const MOST: usize = 64;

/// Programs, by profile and the name they were called by.
#[derive(Debug, Default)]
pub struct Programs(VecDeque<(ProfileIx, Vec<u8>, Known)>);

impl Programs {
    /// What is known of one.
    pub fn get(&mut self, profile: ProfileIx, name: &[u8]) -> Option<Known> {
        let row = self.take(profile, name)?;
        let known = row.2;
        self.0.push_back(row);
        Some(known)
    }

    /// Keeps one, in the place of what was known of it.
    pub fn keep(&mut self, profile: ProfileIx, name: &[u8], known: Known) {
        // No program has a longer one.
        if name.len() > MAX_PATH {
            return;
        }
        if self.take(profile, name).is_none() && self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((profile, name.to_vec(), known));
    }

    fn take(&mut self, profile: ProfileIx, name: &[u8]) -> Option<(ProfileIx, Vec<u8>, Known)> {
        let at = self.0.iter().position(|(p, n, _)| *p == profile && n == name)?;
        self.0.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use strongroom_protocol::channel::w::Stamp;

    use super::*;

    fn known(byte: u8) -> Known {
        let stamp = Stamp { dev: 1, ino: 2, size: 3, mtime_ns: 4, ctime_ns: 5 };
        Known { stamp, digest: [byte; 32] }
    }

    #[test]
    fn by_profile_and_name_and_the_newest_counts() {
        let mut programs = Programs::default();
        programs.keep(ProfileIx(0), b"ls", known(1));
        assert_eq!(programs.get(ProfileIx(1), b"ls"), None);
        assert_eq!(programs.get(ProfileIx(0), b"l"), None);
        programs.keep(ProfileIx(0), b"ls", known(2));
        assert_eq!(programs.get(ProfileIx(0), b"ls"), Some(known(2)));
        programs.keep(ProfileIx(0), &[b'x'; MAX_PATH + 1], known(3));
        assert_eq!(programs.0.len(), 1);
    }

    #[test]
    fn the_one_not_used_for_longest_goes() {
        let mut programs = Programs::default();
        for n in 0..64 {
            programs.keep(ProfileIx(0), &[n], known(n));
        }
        assert_eq!(programs.get(ProfileIx(0), &[0]), Some(known(0)));
        programs.keep(ProfileIx(0), &[64], known(64));
        assert_eq!(programs.0.len(), 64);
        assert_eq!(programs.get(ProfileIx(0), &[1]), None);
        assert_eq!(programs.get(ProfileIx(0), &[0]), Some(known(0)));
    }
}
