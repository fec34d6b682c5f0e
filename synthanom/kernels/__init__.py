"""Pure array maths: no random numbers, no settings.

Each kernel is a folder: `__init__` is its face, `reference` its definition in plain float64, `cpu` the compiled twin.
Compiled kernels see volumes only: a 2D image is a volume whose first spatial axis has length 1 ("flat").
"""
