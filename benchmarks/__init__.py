"""Benchmarks of training, decoding and stages against reference and other systems: `make bench`.

Why: claims about speed must be reproducible. Contestants alternate on one machine, step by step, and steps
during which other processes used it are not counted.
"""
