"""Bytes that nobody sent, for whatever reads bytes of strangers."""
