//! The memory of processes, as root sees it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

/// The largest piece that is read at once.
const PIECE: u64 = 16 << 20;

/// What is mapped in one process and can be read, piece by piece; a piece
/// never spans two mappings. Memory that the kernel shows to nobody, such as
/// memfd_secret(2), and devices are left out.
pub fn of(pid: i32) -> impl Iterator<Item = Vec<u8>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let memory = File::open(format!("/proc/{pid}/mem")).ok();
    let pieces: Vec<(u64, u64)> = maps.lines().filter_map(readable).flat_map(pieces).collect();
    pieces.into_iter().filter_map(move |(start, length)| {
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        let got = memory.as_ref()?.read_at(&mut bytes, start).ok()?;
        bytes.truncate(got);
        Some(bytes)
    })
}

fn readable(line: &str) -> Option<(u64, u64)> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let shown =
        fields.next()?.starts_with('r') && !line.contains("[vvar") && !line.contains("[vsyscall");
    let number = |text| u64::from_str_radix(text, 16).ok();
    shown.then_some((number(start)?, number(end)?))
}

fn pieces((start, end): (u64, u64)) -> impl Iterator<Item = (u64, u64)> {
    // Half of each is looked at twice: a value may lie across an edge.
    let step = usize::try_from(PIECE / 2).unwrap_or(usize::MAX);
    (start..end).step_by(step).map(move |at| (at, PIECE.min(end - at)))
}
