#!/usr/bin/env python3
"""A session whose agent starts `strongroom mcp`, as an MCP server for a client outside."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../sdk/python/tests"))
from session import Session  # noqa: E402

session = Session(agent=("sh", "-c", "strongroom mcp; exit $?"))
try:
    status = subprocess.run(session.command, check=False, stderr=subprocess.DEVNULL).returncode
finally:
    session.close()
sys.exit(status)
