"""Measurements that can be repeated: `python -m tests.bench.simulator`."""
