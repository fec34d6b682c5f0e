"""Random streams by name: the same numbers whatever the order, the number of workers or the machine."""

import hashlib

import numpy as np

from synthanom.arrays import canonical_json


def stream(seed: int, sample_id: str, task: str, draw: int | str) -> np.random.Generator:
    """The random stream of one anomaly.

    Parameters
    ----------
    seed : int
    sample_id : str
    task : str
        Stored name of the task.
    draw : int or str
        The variant's number in a data set, ``"epoch-N"`` in live training.

    Returns
    -------
    numpy Generator
        Philox, its key the first 128 bits of SHA-256 over the canonical JSON ``["synthanom", 1, seed, sample_id, task,
        draw]``, read as two little-endian 64-bit words.
    """
    digest = hashlib.sha256(canonical_json(["synthanom", 1, seed, sample_id, task, draw])).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)))
