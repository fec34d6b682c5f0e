"""What the bytes of a data set depend on besides its inputs: libraries, processor, and what two probes compute here."""

import hashlib
import platform
import zlib
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import h5py
import numpy as np

from synthanom import __version__
from synthanom.arrays import canonical_json
from synthanom.shards.codecs import DEFAULT, codec_version

PACKAGES = ("numpy", "scipy", "numba", "h5py")


def fingerprint(codec: str = DEFAULT) -> dict[str, str]:
    """Versions and probes under which the same inputs make the same bytes.

    Two machines with equal fingerprints are expected to agree to the last bit; others within a tolerance, because
    matrix products and compression differ between library builds and processors.

    Parameters
    ----------
    codec : str
        That the shards are compressed with.

    Returns
    -------
    dict of str to str
        ``deflate`` and ``product`` are digests of what HDF5's own zlib and numpy's BLAS make of fixed arrays: neither
        library reports its build otherwise.
    """
    configuration: Mapping[str, Any] = np.show_config(mode="dicts")
    blas = configuration["Build Dependencies"]["blas"]
    return {
        "synthanom": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        **{name: metadata.version(name) for name in PACKAGES},
        "hdf5": h5py.version.hdf5_version,
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        "deflate": _deflate_probe(),
        "blas": f"{blas.get('name', 'unknown')} {blas.get('version', 'unknown')}",
        "blas_core": _blas_core(),
        "product": _product_probe(),
        "cpu_features": _cpu_features(configuration.get("SIMD Extensions", {})),
        **codec_version(codec),
    }


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _deflate_probe() -> str:
    values = (np.arange(4096, dtype=np.float32) * np.float32(0.37)) % np.float32(1.1)
    with h5py.File("deflate-probe", "w", driver="core", backing_store=False) as file:
        dataset = file.create_dataset(
            "probe", data=values, chunks=values.shape, compression="gzip", compression_opts=1, shuffle=True
        )
        file.flush()
        _, packed = dataset.id.read_direct_chunk((0,))
    return _short(packed)


def _product_probe() -> str:
    left = np.cos(np.arange(48 * 40, dtype=np.float64)).astype(np.float32).reshape(48, 40)
    right = np.sin(np.arange(40 * 56, dtype=np.float64)).astype(np.float32).reshape(40, 56)
    return _short((left @ right).astype("<f4").tobytes())


def _blas_core() -> str:
    """The processor type that BLAS picked its kernels for, where threadpoolctl is there to ask."""
    try:
        import threadpoolctl  # type: ignore[import-untyped]
    except ImportError:
        return "unknown"
    found: list[dict[str, Any]] = [entry for entry in threadpoolctl.threadpool_info() if entry["user_api"] == "blas"]
    # other packages bring a BLAS of their own, and whether they are imported yet must not matter
    own = [entry for entry in found if "numpy" in entry["filepath"]] or found
    return " ".join(sorted({f"{entry['internal_api']}:{entry.get('architecture', 'unknown')}" for entry in own}))


def _cpu_features(found: Mapping[str, Any]) -> str:
    """Digest of the instruction sets that numpy uses on this processor."""
    return _short(canonical_json([sorted(found.get("baseline", [])), sorted(found.get("found", []))]))
