"""Boxes of different sizes as one batch of padded windows: what every kernel's `gpu.py` shares."""
