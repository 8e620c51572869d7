#!/bin/sh
# Writes the documents, and the parts of documents, that come from the program.
# usage: docs/generate.sh PROGRAM
set -eu
program=$(realpath "$1")
cd "$(dirname "$0")"

for document in protocol errors cli seccomp; do
    "$program" docs "$document" >"$document.md.new"
    mv "$document.md.new" "$document.md"
done

# Puts what the program says of $2 between the markers of that name in $1.
part() {
    "$program" docs "$2" >"$2.part"
    awk -v name="$2" -v part="$2.part" '
        $0 == "<!-- end " name " -->" { inside = 0; ends++ }
        !inside { print }
        $0 == "<!-- begin " name " -->" {
            while ((getline line <part) > 0) print line
            inside = 1; begins++
        }
        END { exit !(begins == 1 && ends == 1 && !inside) }
    ' "$1" >"$1.new" || { echo "$1: no part $2" >&2; rm -f "$1.new" "$2.part"; exit 1; }
    rm "$2.part"
    mv "$1.new" "$1"
}
part credentials.md placeholders
part credentials.md encodings
