"""Tests of the command `signet`."""
