"""Authenticated, protected, framed messages over any byte stream."""
