"""What the benchmarks share: subjects, processes, statistics."""
