#!/bin/sh
# `strongroom mcp` with programs that nobody here wrote: the Python SDK's client
# in the handshake era and in the one after it, and the Inspector's CLI. Installs
# them, pinned, beneath target/agents. Where it cannot it says so, and in CI that
# is a failure.
# usage: tests/agents/run.sh PROGRAMS
set -eu
STRONGROOM_BIN=$(realpath "$1")
export STRONGROOM_BIN PYTHONDONTWRITEBYTECODE=1
here=$(realpath "$(dirname "$0")")
target=$here/../../target/agents
mkdir -p "$target"
skipped=0
skip() {
    echo "test-agents: SKIPPED $1" >&2
    skipped=1
}

# venv FOLDER PACKAGE
venv() {
    [ ! -e "$target/$1/done" ] || return 0
    rm -rf "${target:?}/$1"
    python3 -m venv "$target/$1" && "$target/$1/bin/pip" install -q --disable-pip-version-check "$2" &&
        touch "$target/$1/done"
}
for version in 2.3.0 1.30.0; do
    if venv "mcp-$version" "mcp==$version" >"$target/mcp-$version.log" 2>&1; then
        timeout 100 "$target/mcp-$version/bin/python" "$here/mcp_client.py"
    else
        skip "mcp $version: $(tail -n 1 "$target/mcp-$version.log")"
    fi
done

inspector=$target/inspector/node_modules/.bin/mcp-inspector
if [ -x "$inspector" ] || { command -v npm >/dev/null && npm install --silent --no-audit --no-fund \
        --prefix "$target/inspector" @modelcontextprotocol/inspector@2.12.0 >"$target/inspector.log" 2>&1; }; then
    inspect() { timeout 60 "$inspector" --cli -e STRONGROOM_BIN="$STRONGROOM_BIN" "$here/server.py" "$@" 2>"$target/inspector.err"; }
    inspect --method tools/list --strict >"$target/tools.json" || { cat "$target/inspector.err" >&2; exit 1; }
    inspect --method tools/call --tool-name run_command --tool-arg 'argv=["sh","-c","echo hi; exit 4"]' |
        python3 -c 'import json, sys; r = json.load(sys.stdin)["structuredContent"]
assert (r["exit"], r["stdout"]) == (4, "hi\n"), r'
    echo "inspector 2.12.0: tools/list --strict without an error, tools/call"
else
    skip "inspector: npm $(command -v npm || echo is missing)"
fi
[ "$skipped" = 0 ] || [ "${CI:-}" != true ] || exit 1
