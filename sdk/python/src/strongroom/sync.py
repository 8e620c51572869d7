"""The client that waits: the other one, on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from .aio import AsyncCommand, AsyncStrongroom
from .types import Credential, Data, Done, Record, Written

T = TypeVar("T")


class Command:
    """A command that runs. Iterating gives ``(stream, bytes)`` as they come."""

    def __init__(self, room: Strongroom, command: AsyncCommand) -> None:
        self._room, self._command = room, command

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        pieces = self._command.__aiter__()

        async def piece() -> tuple[str, bytes] | None:
            return await anext(pieces, None)

        while (got := self._room._wait(piece())) is not None:
            yield got

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        if self._command._end is None:
            self._room._wait(self._end())

    async def _end(self) -> None:
        self._command._room._post("cancel", {"request": self._command._number})
        while await self._command._next() is not None:
            pass

    def wait(self) -> Done:
        """Waits for its end. Output that was not iterated over is in the result."""
        return self._room._wait(self._command.wait())

    def send(self, data: Data = b"", *, end: bool = False) -> None:
        """Gives it input; returns when it has taken it."""
        self._room._wait(self._command.send(data, end=end))

    def signal(self, name: str) -> None:
        """Sends it a signal, such as TERM."""
        self._room._wait(self._command.signal(name))

    def cancel(self) -> None:
        """Kills it with everything it started."""
        self._room._wait(self._command.cancel())


class Strongroom:
    """A session's verbs; may be used by several threads. See ``AsyncStrongroom``."""

    def __init__(self, command: Sequence[str] = ("strongroom", "api")) -> None:
        self._room = AsyncStrongroom(command)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Strongroom:
        self._thread.start()
        try:
            self._wait(self._room.__aenter__())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process, and with it all its commands."""
        if self._thread.is_alive():
            self._wait(self._room.close())
            self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def start(self, argv: Sequence[Data], **options: Any) -> Command:
        """Starts a command; options as for ``AsyncStrongroom.start``."""
        return Command(self, self._wait(self._room.start(argv, **options)))

    def run(self, argv: Sequence[Data], **options: Any) -> Done:
        """Runs a command to its end."""
        return self._wait(self._room.run(argv, **options))

    def write_file(self, path: Data, content: Data, **options: Any) -> Written:
        """Writes a file; ``${credentials.NAME}`` in it stands for a credential."""
        return self._wait(self._room.write_file(path, content, **options))

    def read_file(self, path: Data) -> bytes:
        """A sealed file, with its placeholders."""
        return self._wait(self._room.read_file(path))

    def list_credentials(self) -> list[Credential]:
        """Never a value."""
        return self._wait(self._room.list_credentials())

    def request_credential(self, name: str, reason: str) -> int:
        """Asks a human to enter one; the request's number."""
        return self._wait(self._room.request_credential(name, reason))

    def delete_credential(self, name: str, **options: Any) -> None:
        """If a human says so."""
        self._wait(self._room.delete_credential(name, **options))

    def request_approval(self, question: str, **options: Any) -> None:
        """Returns when a human says yes; raises ``Denied`` for no."""
        self._wait(self._room.request_approval(question, **options))

    def read_log(self, **options: Any) -> list[Record]:
        """The session's own records, oldest first."""
        return self._wait(self._room.read_log(**options))

    def explain(self, code: str) -> dict[str, Any]:
        """What a code means."""
        return self._wait(self._room.explain(code))
