#!/bin/sh
# Rules that no compiler checks. Each line that it prints is a fault.
set -eu
cd "$(dirname "$0")/.."
faults=0
fault() { echo "house rule: $1"; faults=$((faults + 1)); }

# All unsafe in sys; everything else forbids it.
for main in */src/main.rs */src/lib.rs; do
    case "$main" in sys/*) continue ;; esac
    # A crate with both is one compilation unit per file.
    grep -q 'forbid(unsafe_code)' "$main" || fault "$main does not forbid unsafe code"
done
if git grep -nE '\bunsafe[[:space:]]*(\{|fn|impl|extern)' -- '*.rs' ':!sys/' | grep -v '//'; then
    fault "unsafe outside sys"
fi
if git grep -nE 'unimplemented!|todo!\(|FIXME|#\[ignore\]' -- '*.rs'; then
    fault "unfinished work"
fi
git ls-files '*.rs' | while read -r file; do
    lines=$(wc -l <"$file")
    [ "$lines" -le 700 ] || echo "$file has $lines lines"
done | grep . && fault "files with more than one job"

# The privileged and the jailed side link these crates and no others.
for crate in strongroom-supervisor strongroom-worker; do
    cargo tree --locked -q -p "$crate" -e normal --prefix none --format '{p}' 2>/dev/null |
        sed 's/ v[0-9].*//' | sort -u >"${TMPDIR:-/tmp}/tree.$$"
    diff -u "tests/dependencies/$crate.txt" "${TMPDIR:-/tmp}/tree.$$" ||
        fault "$crate links other crates than tests/dependencies/$crate.txt"
    rm -f "${TMPDIR:-/tmp}/tree.$$"
done
[ "$faults" -eq 0 ] || exit 1
echo "house rules: kept"
