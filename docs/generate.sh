#!/bin/sh
# Writes the documents that come from the program. usage: docs/generate.sh PROGRAM
set -eu
program=$1
here=$(dirname "$0")
for document in protocol errors cli seccomp; do
    "$program" docs "$document" >"$here/$document.md.new"
    mv "$here/$document.md.new" "$here/$document.md"
done
