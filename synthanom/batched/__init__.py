"""Batches on a device: the anomalies of many samples at once, from the same streams as `synthesise` draws from.

The host draws (`drawing`), one compiled call per batch; what depends on the pictures is decided where they lie
(`placing` and the files of the three kinds of task), and `making` leads a batch through both.
"""
