"""What requests answer, and how bytes stand in JSON."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Union

#: Text, or any bytes.
Data = Union[str, bytes]


def encode(data: Data) -> Any:
    """Text as it is, other bytes as base64."""
    if isinstance(data, str):
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def decode(value: Any) -> bytes:
    """The bytes of either."""
    if isinstance(value, str):
        return value.encode()
    return base64.b64decode(value["base64"], validate=True)


@dataclass(frozen=True)
class Done:
    """A command that ended. ``exit`` is 128+n where signal n ended it."""

    exit: int
    signal: str | None
    code: str | None
    message: str | None
    stdout: bytes
    stderr: bytes
    #: Everything else that is known: usage, receipt, masked values, …
    details: dict[str, Any]

    @property
    def ok(self) -> bool:
        """It exited with 0."""
        return self.exit == 0


@dataclass(frozen=True)
class Written:
    """A file that was written."""

    values: str
    credentials: list[str]
    near_misses: list[dict[str, int]]


@dataclass(frozen=True)
class Credential:
    """A credential, without its value."""

    name: str
    there: bool
    env: bool
    file: bool
    changed: int | None
    used: int | None
    asked: bool


@dataclass(frozen=True)
class Record:
    """A record of the session."""

    number: int
    time: str
    level: str
    event: str
    text: str
    req: int | None = None
    code: str | None = None


def known(cls: Any, fields: dict[str, Any]) -> Any:
    """An object of a class, without fields that came with a newer program."""
    return cls(**{k: v for k, v in fields.items() if k in cls.__dataclass_fields__})


def milliseconds(seconds: float | None) -> int | None:
    """A time as the API has it."""
    return None if seconds is None else max(0, round(seconds * 1000))


def params(**fields: Any) -> dict[str, Any]:
    """Without what was not given."""
    return {name: value for name, value in fields.items() if value is not None}


def run_params(
    argv: Sequence[Data],
    cwd: Data | None,
    stdin: Data | None,
    keep_stdin_open: bool,
    timeout: float | None,
    credentials: Sequence[str],
    reason: str | None,
    patience: float | None,
    rule: str | None,
) -> dict[str, Any]:
    """Of ``run_command``."""
    if isinstance(argv, (str, bytes)):
        raise TypeError("argv is a list of words; for a shell say ['sh', '-c', …]")
    return params(
        argv=[encode(word) for word in argv],
        cwd=None if cwd is None else encode(cwd),
        stdin=None if stdin is None else encode(stdin),
        keep_stdin_open=keep_stdin_open or None,
        timeout_ms=milliseconds(timeout),
        credentials=list(credentials) or None,
        reason=reason,
        patience_ms=milliseconds(patience),
        rule=rule,
    )
