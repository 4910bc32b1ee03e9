"""A service that imports and starts Python while it serves."""

import importlib
import os
import subprocess
import sys
from typing import TypeVar

import msgspec

from signetrpc.rpc import Impersonation, Protection, UnaryMethod, method, service

__all__ = ["LATE", "START", "UID", "Imports", "NoArguments"]

R = TypeVar("R")


@service("impersonation.Imports", impersonate=Impersonation.REQUIRED)
class Imports:
    """Says what of Python its caller can have."""

    @method(Protection.SEAL)
    async def uid(self) -> int:
        """Return who the handler runs as."""
        return os.getuid()

    @method(Protection.SEAL)
    def late(self) -> str:
        """Import what nobody has needed yet, and return the error's name."""
        try:
            importlib.import_module("sched")
        except ImportError as error:
            return type(error).__name__
        return ""

    @method(Protection.SEAL)
    def start(self) -> str:
        """Start Python as the caller, and return what it says or the error's name."""
        command = [sys.executable, "-c", "import os; print(os.getuid())"]
        try:
            return subprocess.run(command, capture_output=True, text=True).stdout
        except OSError as error:
            return type(error).__name__


class NoArguments(msgspec.Struct):
    """What all of them take."""


def _method(name: str, result: type[R]) -> UnaryMethod[NoArguments, R]:
    return UnaryMethod(
        service="impersonation.Imports",
        name=name,
        protection=Protection.SEAL,
        arguments=NoArguments,
        result=result,
    )


UID = _method("uid", int)
LATE = _method("late", str)
START = _method("start", str)
