"""Fixtures for every test, and the rule that nothing may be skipped."""

import os

import pytest

from tests.support.fixtures import kdc, kerberos_environment

__all__ = ["anyio_backend", "kdc", "kerberos_environment"]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each `@pytest.mark.anyio` test on asyncio and on trio."""
    backend: str = request.param
    return backend


class _Skips:
    """Turns a run in which anything was skipped into a failed one."""

    def __init__(self) -> None:
        self._nodes: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A test marked xfail is also reported as skipped, with its reason.
        if report.skipped and not hasattr(report, "wasxfail"):
            self._nodes.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._nodes.append(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._nodes and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        if self._nodes:
            terminalreporter.section("skipped, where nothing may be", red=True)
            for node in self._nodes:
                terminalreporter.line(node)


def pytest_configure(config: pytest.Config) -> None:
    """Forbid skips where SIGNETRPC_NO_SKIPS is 1, as in `scripts/test`."""
    if os.environ.get("SIGNETRPC_NO_SKIPS") == "1":
        config.pluginmanager.register(_Skips())
