"""What goes wrong, by code."""

from __future__ import annotations

from typing import Any


class Error(Exception):
    """Everything that this package raises."""


class Lost(Error):
    """The process that does the work has ended, or speaks another language."""


class Failed(Error):
    """A request came to nothing. ``code`` is one of `strongroom explain`."""

    def __init__(self, error: dict[str, Any]) -> None:
        self.code: str = error["code"]
        self.what: str = error["what"]
        self.instead: str = error["instead"]
        self.ask: str = error["ask"]
        self.why: str | None = error.get("why")
        self.message: str | None = error.get("message")
        self.approval: int | None = error.get("approval")
        self.spot: dict[str, Any] | None = error.get("spot")
        more = f": {self.message}" if self.message else ""
        super().__init__(f"{self.code}: {self.what}{more}; {self.instead}")


class Denied(Failed):
    """The policy, or a human, said no; or has not answered yet (``approval``)."""


def failure(error: dict[str, Any]) -> Failed:
    """The exception for an error of the API: SR101 to SR199 are refusals."""
    return Denied(error) if error["code"].startswith("SR1") else Failed(error)
