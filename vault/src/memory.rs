//! How much memory is free: for the machine, and for the control groups this
//! process is in. A container is often allowed much less than there is.

use std::fs;
use std::path::Path;

/// Bytes this process may still use. Where nothing says, 0: a caller then
/// refuses, rather than have the kernel end the process.
pub(crate) fn free() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").map_or(0, |text| available(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    groups.lines().filter_map(group_free).fold(machine, u64::min)
}

/// `MemAvailable` of /proc/meminfo (proc_meminfo(5)).
fn available(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

/// What one line of /proc/self/cgroup (cgroups(7)) leaves: the least of the
/// group and those above it. `None` where none sets a limit on memory.
fn group_free(line: &str) -> Option<u64> {
    let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
    let files = match controllers {
        "" => &UNIFIED,
        "memory" => &LEGACY,
        _ => return None,
    };
    // Inside a container the path may be the one outside: then only the root,
    // which is the container's own group, is there.
    let inside = Path::new(path.strip_prefix('/')?);
    inside.ancestors().filter_map(|group| files.free(&Path::new(files.root).join(group))).min()
}

/// Where a control group says what it may use and does use: one layout for
/// each version (cgroups(7)).
struct Files {
    root: &'static str,
    limit: &'static str,
    used: &'static str,
    /// Lines of `memory.stat`: the page cache, which the kernel gives up first.
    cache: [&'static str; 2],
}

const UNIFIED: Files = Files {
    root: "/sys/fs/cgroup",
    limit: "memory.max",
    used: "memory.current",
    cache: ["inactive_file ", "active_file "],
};

const LEGACY: Files = Files {
    root: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cache: ["total_inactive_file ", "total_active_file "],
};

impl Files {
    fn free(&self, folder: &Path) -> Option<u64> {
        let read = |file| fs::read_to_string(folder.join(file)).ok();
        // `max` in place of a number: no limit.
        let limit: u64 = read(self.limit)?.trim().parse().ok()?;
        let used: u64 = read(self.used)?.trim().parse().ok()?;
        let stat = read("memory.stat").unwrap_or_default();
        let cache = stat
            .lines()
            .filter_map(|line| self.cache.iter().find_map(|name| line.strip_prefix(name)))
            .filter_map(|bytes| bytes.parse::<u64>().ok());
        Some(limit.saturating_sub(used.saturating_sub(cache.sum())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_proc_says() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   12345 kB\n"), 12345 * 1024);
        assert_eq!(available("MemTotal: 9 kB\n"), 0);
        assert!(free() > 1024 * 1024, "this machine has no memory left, or /proc is not there");
        assert_eq!(group_free("3:cpu,cpuacct:/"), None);
        assert_eq!(group_free(""), None);
    }

    #[test]
    fn the_page_cache_of_a_group_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file, text| fs::write(folder.path().join(file), text).unwrap();
        assert_eq!(UNIFIED.free(folder.path()), None);
        write("memory.max", "max\n");
        write("memory.current", "900\n");
        assert_eq!(UNIFIED.free(folder.path()), None);
        write("memory.max", "1000\n");
        assert_eq!(UNIFIED.free(folder.path()), Some(100));
        write("memory.stat", "anon 100\ninactive_file 300\nactive_file 50\n");
        assert_eq!(UNIFIED.free(folder.path()), Some(450));
        write("memory.current", "2000\n");
        assert_eq!(UNIFIED.free(folder.path()), Some(0));
    }
}
