"""Runs subjects interleaved, each end in a process of its own, and keeps medians."""

import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.support.grpc_aio import make_certificate
from benchmarks.support.users import DOMAIN, NAMES
from benchmarks.support.workload import Load
from tests.support.kdc import Kdc

__all__ = [
    "Environment",
    "Serving",
    "Subject",
    "environment",
    "interleave",
    "load_once",
    "newcomers_once",
    "serving",
]

_ROOT = Path(__file__).parents[2]
_SECONDS_MORE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Something to measure.

    Attributes:
        name: As printed.
        options: For `benchmarks.support.subject`.
    """

    name: str
    options: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Serving:
    """A subject's server: where it is, and its process."""

    address: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Accounts, keys and certificates that live as long as the run."""

    variables: dict[str, str]
    options: dict[str, str]


@contextmanager
def environment() -> Generator[Environment]:
    """Make a KDC with a ticket, an account file and a certificate."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kdc = stack.enter_context(Kdc())
        password = secrets.token_urlsafe(16)
        accounts = folder / "accounts"
        accounts.touch(mode=0o600)
        lines = [f"{DOMAIN}:{name}:{password}\n" for name in NAMES]
        accounts.write_text("".join(lines))
        certificate, key = make_certificate(folder)
        variables = kdc.environment(ccache=kdc.kinit("alice"), keytab=kdc.keytab_file)
        yield Environment(
            variables=variables | {"BENCH_PASSWORD": password},
            options={
                "accounts": str(accounts),
                "keytab": str(kdc.keytab_file),
                "certificate": str(certificate),
                "key": str(key),
                "realm": kdc.realm,
            },
        )


def interleave(
    subjects: list[Subject], loads: dict[str, Load], rounds: int, around: Environment
) -> dict[str, dict[str, dict[str, float]]]:
    """Measure every subject under every load, round by round.

    Returns:
        By subject and load: the median of each figure over the rounds.
    """
    processors = sorted(os.sched_getaffinity(0))
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    with ExitStack() as stack:
        servers = {
            subject.name: stack.enter_context(serving(subject, around, processors[0]))
            for subject in subjects
        }
        for _ in range(rounds):
            for load_name, load in loads.items():
                for subject in subjects:
                    address = servers[subject.name].address
                    figures = load_once(subject, around, address, load, processors[-1])
                    by_load = found.setdefault(subject.name, {})
                    by_load.setdefault(load_name, []).append(figures)
    return {
        subject: {load: _medians(runs) for load, runs in by_load.items()}
        for subject, by_load in found.items()
    }


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def _command(role: str, options: dict[str, str], *rest: str) -> list[str]:
    module = "benchmarks.support.subject"
    return [sys.executable, "-m", module, role, json.dumps(options), *rest]


def _options(subject: Subject, around: Environment, processor: int) -> dict[str, str]:
    return around.options | subject.options | {"processor": str(processor)}


@contextmanager
def serving(
    subject: Subject, around: Environment, processor: int
) -> Generator[Serving]:
    process = subprocess.Popen(
        _command("serve", _options(subject, around, processor)),
        cwd=_ROOT,
        env=around.variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError(f"the server of {subject.name} did not start")
        yield Serving(address, process.pid)
    finally:
        process.communicate(timeout=_SECONDS_MORE)


def load_once(
    subject: Subject, around: Environment, address: str, load: Load, processor: int
) -> dict[str, Any]:
    command = _command(
        "load",
        _options(subject, around, processor),
        address,
        json.dumps(asdict(load)),
    )
    figures: dict[str, Any]
    figures = _measured(command, around, load.seconds + _SECONDS_MORE)
    return figures


def newcomers_once(
    subject: Subject, around: Environment, address: str, processor: int
) -> dict[str, float]:
    """Have users call who never have; see `measure_newcomers`."""
    command = _command("newcomers", _options(subject, around, processor), address)
    durations: dict[str, float] = _measured(command, around, 2 * _SECONDS_MORE)
    return durations


def _measured(command: list[str], around: Environment, seconds: float) -> Any:
    done = subprocess.run(
        command,
        cwd=_ROOT,
        env=around.variables,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=seconds,
    )
    return json.loads(done.stdout)
