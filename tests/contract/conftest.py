"""Fixtures for the contract suites."""

from tests.support.meetings import short_linger

__all__ = ["short_linger"]
