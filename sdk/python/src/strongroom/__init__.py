"""Run commands in Strongroom's jails, from Python.

``Strongroom`` waits, ``AsyncStrongroom`` does not. Both speak to one
``strongroom api`` process, which must run inside a session.
"""

from .aio import AsyncCommand, AsyncStrongroom
from .errors import Denied, Error, Failed, Lost
from .sync import Command, Strongroom
from .types import Credential, Done, Record, Written

__all__ = [
    "AsyncCommand",
    "AsyncStrongroom",
    "Command",
    "Credential",
    "Denied",
    "Done",
    "Error",
    "Failed",
    "Lost",
    "Record",
    "Strongroom",
    "Written",
]
