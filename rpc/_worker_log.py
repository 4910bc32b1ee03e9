"""What an identity worker logs and prints, sent to the service's log, within bounds.

A worker runs as somebody who must not write the service's log as it likes: what comes
from it is marked as its own, in lines that cannot be taken for others.
"""

import logging
import sys
from io import TextIOBase
from typing import Final

from ._packets import Packets
from ._worker_messages import Log, encode

__all__ = ["Allowance", "log_record", "safe", "send_log"]

_log: Final = logging.getLogger("signetrpc.worker")

_MAX_TEXT: Final = 16 * 1024
_BURST: Final = 200
_PER_SECOND: Final = 50.0
_COUNTED: Final = 1024
"""A record counts once more for so many characters: making them safe takes time."""


# In the worker.


class _Sender(logging.Handler):
    """Sends each record to the service, if it takes it now."""

    def __init__(self, control: Packets, level: int) -> None:
        super().__init__(level)
        self._control = control
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record; one that cannot be sent is counted."""
        try:
            text = self.format(record)
        except Exception as error:  # a handler's own mistake: %d of a string
            text = f"{record.msg!r} cannot be formatted: {error}"
        log = Log(record.name[:256], min(record.levelno, 100), _cut(text), self._lost)
        try:
            self._control.send(encode(log))
        except OSError:
            self._lost += 1
        else:
            self._lost = 0


def _cut(text: str) -> str:
    text = text.encode(errors="replace").decode()
    half = _MAX_TEXT // 2
    return text if len(text) <= _MAX_TEXT else f"{text[:half]}\n...\n{text[-half:]}"


class _Printed(TextIOBase):
    """A text stream whose lines are logged: what handlers print."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._line = ""

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, text: str, /) -> int:
        """Log the lines that this completes."""
        *lines, self._line = (self._line + text).split("\n")
        if len(self._line) > _MAX_TEXT:
            lines.append(self._line)
            self._line = ""
        for line in lines:
            self._logger.info("%s", line)
        return len(text)


def send_log(control: Packets, level: int) -> None:
    """From now on send what is logged and printed to the service.

    Args:
        control: The way there.
        level: Records below it are not made.
    """
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    root.addHandler(_Sender(control, level))
    root.setLevel(level)
    logging.raiseExceptions = False
    sys.stdout = _Printed(logging.getLogger("stdout"))
    sys.stderr = _Printed(logging.getLogger("stderr"))


# In the service.


class Allowance:
    """How many records a worker may have logged: a burst, then so many a second.

    Long ones count several times.
    """

    def __init__(self) -> None:
        self._left = float(_BURST)
        self._when = 0.0
        self.refused = 0

    def take(self, now: float, cost: int = 1) -> bool:
        """Use some up; False, and counted as one, if there are not so many.

        Args:
            now: Seconds of a monotonic clock.
            cost: How many, at most the burst.
        """
        self._left = min(_BURST, self._left + (now - self._when) * _PER_SECOND)
        self._when = now
        if self._left < cost:
            self.refused += 1
            return False
        self._left -= cost
        return True


def log_record(who: str, record: Log, allowance: Allowance, now: float) -> None:
    """Log what a worker sent, as its own words.

    Args:
        who: The worker.
        record: What it sent.
        allowance: What is left of its share.
        now: Seconds of a monotonic clock.
    """
    lost = record.lost + allowance.refused
    if not allowance.take(now, 1 + len(record.text) // _COUNTED):
        allowance.refused += record.lost
        return
    allowance.refused = 0
    if lost:
        _log.warning("%s: %d records lost", who, lost)
    _log.log(record.level, "%s: %s: %s", who, safe(record.logger), safe(record.text))


def safe(text: str) -> str:
    """Return a worker's words so that they look like nobody else's."""
    # Each line of a traceback is marked; nothing in it moves a terminal's cursor.
    lines = text.split("\n")
    shown = ["".join(_shown(each) for each in line) for line in lines]
    return "\n    | ".join(shown)


def _shown(character: str) -> str:
    if character.isprintable() or character == "\t":
        return character
    return character.encode("unicode_escape").decode()
