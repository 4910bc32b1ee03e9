"""Attacks by peers and by the path, each against the real thing."""
