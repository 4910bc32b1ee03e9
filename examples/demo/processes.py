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


def stop(process: subprocess.Popen[str]) -> None:
    """End a process and wait until it has ended."""
    process.terminate()
    try:
        process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
