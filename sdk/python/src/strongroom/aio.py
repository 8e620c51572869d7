"""The client that does not wait."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from .errors import Lost, failure
from .types import (
    Credential,
    Data,
    Done,
    Record,
    Written,
    decode,
    encode,
    known,
    milliseconds,
    params,
    run_params,
)

#: Bytes of the longest line that is read: 32 KiB of output at once, and lists.
LINE = 64 * 1024 * 1024

#: Called with the number of an approval that a human is asked for.
Waiting = Callable[[int], None]


class AsyncCommand:
    """A command that runs. Iterating gives ``(stream, bytes)`` as they come."""

    def __init__(self, room: AsyncStrongroom, number: int, events: asyncio.Queue[Any]) -> None:
        self._room, self._number, self._events = room, number, events
        self._kept: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        self._end: dict[str, Any] | None = None

    async def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        while (event := await self._next()) is not None:
            if event["event"] == "output":
                yield event["stream"], decode(event["data"])

    async def _next(self) -> dict[str, Any] | None:
        if self._end is not None:
            return None
        event = await self._events.get()
        if event is None or event["event"] in ("result", "error"):
            self._end = event or {"event": "lost"}
            return None
        return event

    async def wait(self) -> Done:
        """Waits for its end. Output that was not iterated over is in the result."""
        try:
            async for stream, data in self:
                self._kept[stream].append(data)
        except asyncio.CancelledError:
            self._room._post("cancel", {"request": self._number})
            raise
        return self.done()

    def done(self) -> Done:
        """How it ended; raises where it was refused."""
        end = self._end or {"event": "lost"}
        if end["event"] == "error":
            raise failure(end["error"])
        if end["event"] != "result":
            raise Lost("strongroom api has ended")
        fields = dict(end["result"])
        first = {name: fields.pop(name) for name in ("exit", "signal", "code", "message")}
        out, err = (b"".join(self._kept[s]) for s in ("stdout", "stderr"))
        return Done(**first, stdout=out, stderr=err, details=fields)

    async def send(self, data: Data = b"", *, end: bool = False) -> None:
        """Gives it input; returns when it has taken it."""
        await self._room._ask("stdin", {"request": self._number, "data": encode(data), "end": end})

    async def signal(self, name: str) -> None:
        """Sends it a signal, such as TERM."""
        await self._room._ask("signal", {"request": self._number, "signal": name})

    async def cancel(self) -> None:
        """Kills it with everything it started."""
        await self._room._ask("cancel", {"request": self._number})


class AsyncStrongroom:
    """A session's verbs. ``command`` starts another program that speaks the API."""

    def __init__(self, command: Sequence[str] = ("strongroom", "api")) -> None:
        self._command = list(command)
        self._numbers = itertools.count(1)
        self._flying: dict[int, asyncio.Queue[Any]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> AsyncStrongroom:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE,
        )
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        try:
            ready = json.loads(line)
        except ValueError:
            ready = {}
        if ready.get("event") != "ready" or ready.get("v") != 1:
            await self.close()
            raise Lost(f"not the strongroom API: {line[:200]!r}")
        self._reader = asyncio.create_task(self._read(self._process.stdout))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the process, and with it all its commands."""
        process, self._process = self._process, None
        if process is None:
            return
        for number in list(self._flying):
            self._write(process, number, "cancel")
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except asyncio.TimeoutError:
            process.kill()
            await process.wait()
        if self._reader is not None:
            await self._reader

    def _write(self, process: asyncio.subprocess.Process, number: int, method: str) -> None:
        line = {"id": f"close-{number}", "method": method, "params": {"request": number}}
        assert process.stdin is not None
        if not process.stdin.is_closing():
            process.stdin.write(json.dumps(line).encode() + b"\n")

    async def _read(self, stdout: asyncio.StreamReader) -> None:
        try:
            while line := await stdout.readline():
                event = json.loads(line)
                if (queue := self._flying.get(event.get("id"))) is not None:
                    if event["event"] in ("result", "error"):
                        del self._flying[event["id"]]
                    queue.put_nowait(event)
        finally:
            flying, self._flying = self._flying, {}
            for queue in flying.values():
                queue.put_nowait(None)

    def _post(self, method: str, fields: dict[str, Any]) -> tuple[int, asyncio.Queue[Any]]:
        process, number = self._process, next(self._numbers)
        if process is None or process.stdin is None or (self._reader and self._reader.done()):
            raise Lost("strongroom api has ended")
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._flying[number] = queue
        line = {"id": number, "method": method, "params": fields}
        process.stdin.write(json.dumps(line).encode() + b"\n")
        return number, queue

    async def _ask(
        self, method: str, fields: dict[str, Any], waiting: Waiting | None = None
    ) -> dict[str, Any]:
        number, queue = self._post(method, fields)
        while True:
            try:
                event = await queue.get()
            except asyncio.CancelledError:
                self._post("cancel", {"request": number})
                raise
            if event is None:
                raise Lost("strongroom api has ended")
            if event["event"] == "error":
                raise failure(event["error"])
            if event["event"] == "result":
                result: dict[str, Any] = event["result"]
                return result
            if event["event"] == "waiting" and waiting is not None:
                waiting(event["approval"])

    async def start(
        self,
        argv: Sequence[Data],
        *,
        cwd: Data | None = None,
        stdin: Data | None = None,
        keep_stdin_open: bool = False,
        timeout: float | None = None,
        credentials: Sequence[str] = (),
        reason: str | None = None,
        patience: float | None = None,
        rule: str | None = None,
    ) -> AsyncCommand:
        """Starts a command. Times are in seconds; ``patience`` is for a human who is asked."""
        fields = run_params(
            argv, cwd, stdin, keep_stdin_open, timeout, credentials, reason, patience, rule
        )
        return AsyncCommand(self, *self._post("run_command", fields))

    async def run(self, argv: Sequence[Data], **options: Any) -> Done:
        """Runs a command to its end; options as for :meth:`start`."""
        return await (await self.start(argv, **options)).wait()

    async def write_file(
        self,
        path: Data,
        content: Data,
        *,
        mode: int | None = None,
        plain: bool = False,
        reason: str | None = None,
        patience: float | None = None,
    ) -> Written:
        """Writes a file; ``${credentials.NAME}`` in it stands for a credential."""
        fields = params(
            path=encode(path),
            content=encode(content),
            mode=mode,
            plain=plain or None,
            reason=reason,
            patience_ms=milliseconds(patience),
        )
        written: Written = known(Written, await self._ask("write_file", fields))
        return written

    async def read_file(self, path: Data) -> bytes:
        """A sealed file, with its placeholders."""
        return decode((await self._ask("read_file", {"path": encode(path)}))["content"])

    async def list_credentials(self) -> list[Credential]:
        """Never a value."""
        result = await self._ask("list_credentials", {})
        return [known(Credential, row) for row in result["credentials"]]

    async def request_credential(self, name: str, reason: str) -> int:
        """Asks a human to enter one; the request's number."""
        result = await self._ask("request_credential", {"name": name, "reason": reason})
        return int(result["request"])

    async def delete_credential(
        self, name: str, *, reason: str | None = None, patience: float | None = None
    ) -> None:
        """If a human says so."""
        fields = params(name=name, reason=reason, patience_ms=milliseconds(patience))
        await self._ask("delete_credential", fields)

    async def request_approval(
        self, question: str, *, patience: float | None = None, waiting: Waiting | None = None
    ) -> None:
        """Returns when a human says yes; raises ``Denied`` for no."""
        fields = params(question=question, patience_ms=milliseconds(patience))
        await self._ask("request_approval", fields, waiting)

    async def read_log(
        self, *, after: int = 0, level: str = "info", match: str | None = None
    ) -> list[Record]:
        """The session's own records, oldest first."""
        records: list[Record] = []
        while True:
            fields = params(after=after, level=level, match=match)
            result = await self._ask("read_log", fields)
            records.extend(known(Record, row) for row in result["records"])
            if result["next"] is None:
                return records
            after = result["next"]

    async def explain(self, code: str) -> dict[str, Any]:
        """What a code means."""
        row: dict[str, Any] = (await self._ask("explain", {"code": code}))["codes"][0]
        return row
