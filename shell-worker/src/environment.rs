//! The environment of a command, built from empty: the profile's, the private
//! folder where nothing else was said, and the values it is granted. They are
//! wiped here as soon as the command has its own copy.

use std::ffi::{CStr, CString};

use strongroom_jail::paths;
use strongroom_protocol::plan::Profile;
use strongroom_protocol::types::SecretVar;
use strongroom_sys::Errno;
use zeroize::Zeroize as _;

/// Name and value of each variable, for execve(2).
pub struct Environment {
    entries: Vec<CString>,
    granted: Vec<CString>,
}

impl Environment {
    /// What the profile says, then what is granted: a value wins over a
    /// variable of the same name.
    ///
    /// # Errors
    /// `EINVAL` for a value with a NUL in it, which no variable can hold.
    pub fn new(
        profile: &Profile,
        secrets: &[SecretVar],
        private: Option<&[u8]>,
    ) -> Result<Self, Errno> {
        let mut plain: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut set = |name: &[u8], value: &[u8]| {
            plain.retain(|(n, _)| n != name);
            plain.push((name.to_vec(), value.to_vec()));
        };
        if let Some(private) = private {
            set(b"TMPDIR", private);
            set(b"HOME", &paths::join(private, b"home"));
        }
        for var in &profile.env {
            set(var.name.as_bytes(), var.value.as_bytes());
        }
        plain.retain(|(name, _)| !secrets.iter().any(|s| s.name.as_bytes() == name.as_slice()));
        let entry = |(n, v): (Vec<u8>, Vec<u8>)| paths::c_string(&[&n, &b"="[..], &v].concat());
        let mut this =
            Self { entries: plain.into_iter().map(entry).collect(), granted: Vec::new() };
        for secret in secrets {
            this.granted.push(granted(secret)?);
        }
        Ok(this)
    }

    /// All of it.
    pub fn entries(&self) -> Vec<&CStr> {
        self.entries.iter().chain(&self.granted).map(CString::as_c_str).collect()
    }

    /// Where programs are looked for. The profile's: a granted value steers
    /// nothing here.
    pub fn path(&self) -> &[u8] {
        self.entries.iter().find_map(|e| e.to_bytes().strip_prefix(b"PATH=")).unwrap_or(b"")
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        for entry in std::mem::take(&mut self.granted) {
            entry.into_bytes().zeroize();
        }
    }
}

/// `NAME=value`, put together in its last place: a buffer that grew, or was
/// fitted, would leave a copy behind.
fn granted(secret: &SecretVar) -> Result<CString, Errno> {
    let (name, value) = (secret.name.as_bytes(), secret.value.as_bytes());
    if value.contains(&0) {
        return Err(Errno::EINVAL);
    }
    let mut entry = Vec::with_capacity(name.len() + 1 + value.len() + 1);
    for part in [name, b"=", value, b"\0"] {
        entry.extend_from_slice(part);
    }
    CString::from_vec_with_nul(entry).map_err(|_| Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use strongroom_protocol::types::{CredentialName, EnvName, EnvValue, EnvVar, SecretBytes};

    use super::*;
    use crate::testing;

    fn secret(name: &str, value: &[u8]) -> SecretVar {
        SecretVar {
            name: CredentialName::new(name).unwrap(),
            value: SecretBytes::new(value.to_vec()).unwrap(),
        }
    }

    fn profile(env: &[(&str, &str)]) -> Profile {
        let mut profile = testing::profile("worker");
        let var = |(name, value): &(&str, &str)| EnvVar {
            name: EnvName::new(*name).unwrap(),
            value: EnvValue::new(*value).unwrap(),
        };
        profile.env = env.iter().map(var).collect();
        profile
    }

    #[test]
    fn the_profiles_then_what_is_granted() {
        let profile = profile(&[("PATH", "/usr/bin"), ("TOKEN", "none"), ("HOME", "/h")]);
        let secrets = [secret("TOKEN", b"swordfish"), secret("EMPTY", b"")];
        let environment = Environment::new(&profile, &secrets, Some(b"/tmp")).unwrap();
        assert_eq!(
            environment.entries(),
            [c"TMPDIR=/tmp", c"PATH=/usr/bin", c"HOME=/h", c"TOKEN=swordfish", c"EMPTY="]
        );
        assert_eq!(environment.path(), b"/usr/bin");
    }

    #[test]
    fn a_granted_path_is_not_searched() {
        let environment = Environment::new(&profile(&[]), &[secret("PATH", b"/x")], None).unwrap();
        assert_eq!(environment.path(), b"");
    }

    #[test]
    fn a_value_with_a_nul_is_refused_not_cut() {
        let bad = [secret("GOOD", b"x"), secret("TOKEN", b"a\0b")];
        let refused = Environment::new(&profile(&[]), &bad, None).err();
        assert_eq!(refused, Some(Errno::EINVAL));
    }
}
