"""Benchmarks: peers and product interleaved in one run, printed as ratios."""
