"""Benchmarks of guarded calls, against bare ones and other libraries."""
