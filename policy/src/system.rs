//! What `@system`, `@proc` and `@dev` stand for. Lists of what is in, never of
//! what is out: /etc holds password hashes and keys, so it is given entry by
//! entry, and a file a package adds tomorrow is not in it.

use std::path::PathBuf;

use strongroom_protocol::plan::Access;

/// Trees of programs and libraries.
const TREES: &[&str] = &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt"];

/// Entries of /etc that programs need and that hold no secret.
const ETC: &[&str] = &[
    "X11/rgb.txt",
    "adjtime",
    "alpine-release",
    "alternatives",
    "apk/arch",
    "bash.bashrc",
    "bash_completion.d",
    "bashrc",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "default/locale",
    "emacs",
    "fedora-release",
    "fonts",
    "gai.conf",
    "gitconfig",
    "groff",
    "group",
    "host.conf",
    "hostname",
    "hosts",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "locale.conf",
    "localtime",
    "login.defs",
    "lsb-release",
    "machine-info",
    "magic",
    "magic.mime",
    "mailcap",
    "manpath.config",
    "mime.types",
    "nanorc",
    "networks",
    "nsswitch.conf",
    "os-release",
    "papersize",
    "passwd",
    "perl",
    "pki/ca-trust",
    "pki/tls/certs",
    "profile",
    "profile.d",
    "protocols",
    "redhat-release",
    "resolv.conf",
    "rpc",
    "services",
    "shells",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    "system-release",
    "terminfo",
    "timezone",
    "vim",
    "vimrc",
    "xattr.conf",
];

/// Entries of /etc whose names carry a version (`java-17-openjdk`).
const ETC_VERSIONED: &[&str] = &["java", "python3"];

/// What runtimes ask the kernel to size their pools by.
const KERNEL: &[&str] =
    &["/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage"];

/// Devices that keep nothing and control nothing.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Links to a process's own descriptors. Not followed: they lead elsewhere
/// for each process.
pub const DEVICE_LINKS: &[(&str, &str)] = &[
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// Paths of `@system`, there or not.
#[must_use]
pub fn system() -> Vec<(PathBuf, Access)> {
    let read = |path: &&str| (PathBuf::from(path), Access::Read);
    let mut paths: Vec<_> = TREES.iter().map(read).collect();
    paths.extend(ETC.iter().map(|entry| (PathBuf::from("/etc").join(entry), Access::Read)));
    paths.extend(versioned().map(|path| (path, Access::Read)));
    paths.extend(proc());
    paths.extend(KERNEL.iter().map(read));
    paths.extend(devices());
    paths
}

/// Paths of `@proc`.
#[must_use]
pub fn proc() -> Vec<(PathBuf, Access)> {
    vec![(PathBuf::from("/proc"), Access::Read)]
}

/// Paths of `@dev`.
#[must_use]
pub fn devices() -> Vec<(PathBuf, Access)> {
    DEVICES.iter().map(|path| (PathBuf::from(path), Access::Write)).collect()
}

fn versioned() -> impl Iterator<Item = PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/etc")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            ETC_VERSIONED.iter().any(|start| {
                name.strip_prefix(start).is_some_and(|rest| {
                    rest.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
                })
            })
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// F30: nothing that holds a secret is in, whatever is installed here.
    #[test]
    fn no_secret_of_the_system() {
        for secret in [
            "/etc",
            "/etc/shadow",
            "/etc/gshadow",
            "/etc/ssl",
            "/etc/ssl/private",
            "/etc/pki/tls/private",
            "/etc/krb5.keytab",
            "/etc/sudoers",
            "/etc/sudoers.d/x",
            "/etc/ssh",
            "/etc/environment",
            "/etc/npmrc",
            "/etc/maven/settings.xml",
            "/etc/docker",
            "/etc/ld.so.preload",
            "/run/secrets/x",
            "/var/run/secrets/kubernetes.io",
            "/root",
            "/home",
            "/var",
            "/tmp",
            "/dev",
            "/dev/mem",
            "/dev/tty",
            "/sys",
            "/",
        ] {
            let secret = Path::new(secret);
            assert!(
                !system().iter().any(|(path, _)| secret.starts_with(path)),
                "{} is reachable",
                secret.display()
            );
        }
    }

    #[test]
    fn only_devices_are_writable() {
        for (path, access) in system() {
            assert_eq!(access == Access::Write, path.starts_with("/dev"), "{}", path.display());
        }
    }
}
