"""Measurements, each run as ``python -m benchmarks.bench_<stem>``."""
