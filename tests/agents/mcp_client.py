"""What the `mcp` package's client makes of `strongroom mcp`, in each era it knows."""

import asyncio
import importlib.metadata
import os
import sys
import time
from contextlib import asynccontextmanager

import mcp
from mcp import ClientSession, StdioServerParameters, stdio_client

SERVER = os.path.join(os.path.dirname(os.path.realpath(__file__)), "server.py")
VERSION = importlib.metadata.version("mcp")
PARAMETERS = StdioServerParameters(command=sys.executable, args=[SERVER], env=dict(os.environ))


def field(thing, *names):
    """A field: 1.x writes it as on the wire, 2.x in Python's way."""
    return next(getattr(thing, name) for name in names if hasattr(thing, name))


def content(result):
    return field(result, "structured_content", "structuredContent")


@asynccontextmanager
async def connected(mode, shown):
    async def show(_, params):
        shown.append(params)
        return mcp.types.ElicitResult(action="accept")

    if VERSION.startswith("1."):
        mcp.types.LATEST_PROTOCOL_VERSION = mode
        async with stdio_client(PARAMETERS) as (read, write):
            async with ClientSession(read, write, elicitation_callback=show) as session:
                yield session, (await session.initialize()).protocolVersion
    else:
        async with mcp.Client(stdio_client(PARAMETERS), mode=mode, elicitation_callback=show) as client:
            yield client, client.protocol_version


async def call(client, name, arguments, **options):
    result = await client.call_tool(name, arguments, **options)
    return bool(field(result, "is_error", "isError")), content(result)


async def check(mode, revision):
    shown = []
    async with connected(mode, shown) as (client, spoken):
        assert spoken == revision, spoken
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert len(tools) == 7, tools
        assert field(tools["explain"].annotations, "read_only_hint", "readOnlyHint") is True
        assert field(tools["run_command"], "output_schema", "outputSchema")["type"] == "object"

        heard = []

        async def progress(at, total, message):
            heard.append((at, message))

        command = {"argv": ["sh", "-c", "echo out; echo err >&2; sleep 1; exit 3"]}
        failed, ran = await call(client, "run_command", command, progress_callback=progress)
        assert (failed, ran["exit"], ran["stdout"], ran["stderr"]) == (False, 3, "out\n", "err\n"), ran
        assert any(message == "running" for _, message in heard), heard
        assert heard == sorted(heard), heard

        failed, ran = await call(client, "run_command", {"argv": ["rm", "x"]})
        assert failed and ran["denied"]["code"] == "SR101" and ran["denied"]["instead"], ran
        failed, ran = await call(client, "run_command", {"argv": ["env", "push"], "patience_ms": 0})
        assert not failed and ran["pending"]["approval"] > 0, ran
        failed, ran = await call(client, "run_command", {"argv": ["true"], "no_such": 1})
        assert failed and ran["denied"]["code"] == "SR131", ran
        big = {"argv": ["head", "-c", "100000", "/dev/zero"], "max_output_bytes": 2048}
        failed, ran = await call(client, "run_command", big)
        assert ran["truncated"] and len(ran["stdout"]) < 3000, len(ran["stdout"])

        once = {"argv": ["sh", "-c", "echo x >>count; wc -c <count"], "idempotency_key": "k"}
        pair = await asyncio.gather(call(client, "run_command", once), call(client, "run_command", once))
        assert [ran["stdout"].strip() for _, ran in pair] == ["2", "2"], pair
        assert sorted(ran.get("repeated", False) for _, ran in pair) == [False, True], pair
        other = dict(once, argv=["true"])
        assert (await call(client, "run_command", other))[1]["denied"]["code"] == "SR131"

        file = {"path": ".env", "content": "PASSWORD=${credentials.DB_PASSWORD}\n"}
        failed, written = await call(client, "write_file", file)
        assert (failed, written["values"]) == (False, "sealed"), written
        _, ran = await call(client, "run_command", {"argv": ["wc", "-c", ".env"]})
        assert ran["stdout"].split()[0] == "31", ran
        _, listed = await call(client, "list_credentials", {})
        assert [row["name"] for row in listed["credentials"]] == ["DB_PASSWORD"], listed
        assert "correct-horse" not in str(listed)
        _, log = await call(client, "read_log", {"level": "warning"})
        assert any(row.get("code") == "SR101" for row in log["records"]), log
        _, explained = await call(client, "explain", {"code": "SR101"})
        assert explained["codes"][0]["exit"] == 77
        failed, asked = await call(client, "request_approval", {"question": "now?", "patience_ms": 0})
        assert asked["pending"]["approval"] > 0, asked
        assert asked["pending"]["url"] == "http://127.0.0.1:8765/", asked
        # A client that says "accept" has approved nothing.
        slow = {"question": "then?", "patience_ms": 500}
        _, asked = await call(client, "request_approval", slow)
        assert "pending" in asked, asked
        urls = {params.url for params in shown}
        assert urls == ({"http://127.0.0.1:8765/"} if revision == "2025-11-25" else set()), shown
        failed, wished = await call(client, "request_credential", {"name": "lower", "reason": "x"})
        assert failed, wished

        # A call that its client gives up on ends the command. 1.x gives up
        # without telling the server.
        if VERSION.startswith("2."):
            late = {"argv": ["sh", "-c", "sleep 2; echo late >mark"]}
            task = asyncio.create_task(client.call_tool("run_command", late))
            await asyncio.sleep(0.5)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.sleep(2)
            _, ran = await call(client, "run_command", {"argv": ["test", "-e", "mark"]})
            assert ran["exit"] == 1, "the command went on"
    print(f"mcp {VERSION}: revision {revision}")


start = time.monotonic()
handshakes = {revision: revision for revision in ("2025-06-18", "2025-11-25")}
eras = handshakes if VERSION.startswith("1.") else {"legacy": "2025-11-25", "auto": "2026-07-28"}
for era, revision in eras.items():
    asyncio.run(asyncio.wait_for(check(era, revision), 60))
print(f"mcp {VERSION}: {time.monotonic() - start:.0f} s")
