"""A real session whose agent is `strongroom api`. STRONGROOM_BIN names the programs."""

import os
import shutil
import tempfile

POLICY = """
version = 1
extends = ["builtin:base"]

[[rule]]
name = "no"
match = ["rm", "..."]
action = "deny"
why = "nothing is removed here"

[[rule]]
name = "asks"
match = ["env", "push", "..."]
profile = "worker"
action = "ask"

[[rule]]
name = "granted"
match = ["wc", "..."]
profile = "worker"
action = "allow"
credentials = ["DB_PASSWORD"]

[agent]
env = { set = { SR_INBOX_URL = "http://127.0.0.1:8765/" } }

[credential.DB_PASSWORD]
deliver = ["file"]
"""


class Session:
    """Its folders, and the command that starts it."""

    def __init__(self, agent=("strongroom", "api")):
        self.folder = tempfile.mkdtemp(prefix="strongroom-sdk-")
        os.chmod(self.folder, 0o755)
        self.workspace = os.path.join(self.folder, "workspace")
        os.mkdir(self.workspace)
        policy = os.path.join(self.folder, "policy.toml")
        with open(policy, "w", encoding="utf-8") as file:
            file.write(POLICY)
        program = os.path.join(os.environ["STRONGROOM_BIN"], "strongroom")
        state = os.path.join(self.folder, "state")
        self.command = ["env", "DB_PASSWORD=correct-horse-battery", program, "run", "--quiet"]
        self.command += ["--policy", policy, "--state", state, "--workspace", self.workspace, "--", *agent]

    def close(self):
        shutil.rmtree(self.folder)
