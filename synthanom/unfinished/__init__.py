"""A data set that is being built: what its units left behind, and how they become `dataset.json`.

The builder plans and makes units; this finishes them, wherever they were made: in one process, by parts on many
machines, or in several folders that are merged.
"""
