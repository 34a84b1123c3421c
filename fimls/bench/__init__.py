"""Benchmarks: recorded typing, replayed through LSP against any server."""
