"""Waiting for other processes, never without an end."""

import subprocess
import threading

SECONDS = 30
"""How long anything may take that a process is waited for."""


def wait_for_line(process: subprocess.Popen[str], text: str = "") -> str:
    """Return the next line a process prints that contains `text`.

    What it printed instead is returned if it ended, or was killed for taking too long.
    """
    assert process.stdout is not None
    watchdog = threading.Timer(SECONDS, process.kill)
    watchdog.start()
    printed = ""
    try:
        for line in process.stdout:
            if text in line:
                return line.strip()
            printed += line
        return printed.strip()
    finally:
        watchdog.cancel()


def stop(process: subprocess.Popen[str]) -> str:
    """End a process, wait until it has ended and return what it printed last."""
    process.terminate()
    try:
        printed, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        printed, _ = process.communicate()
    return printed
