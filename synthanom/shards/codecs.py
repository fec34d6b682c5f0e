"""How the columns of a shard are compressed: gzip, which every HDF5 tool reads, or something faster.

Measured side by side in docs/speed.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, util
from types import MappingProxyType
from typing import Any

from synthanom.errors import SynthanomError
from synthanom.nearest import meant

DEFAULT = "gzip"
PLUGIN = "hdf5plugin"


@dataclass(frozen=True, kw_only=True)
class Codec:
    """One compression.

    Attributes
    ----------
    filter : int
        HDF5's number of it.
    plugin : bool
        Whether the package hdf5plugin is needed to write and to read it.
    """

    filter: int
    plugin: bool


CODECS: Mapping[str, Codec] = MappingProxyType(
    {
        "gzip": Codec(filter=1, plugin=False),
        "lzf": Codec(filter=32000, plugin=False),  # comes with h5py, not with HDF5
        "zstd": Codec(filter=32015, plugin=True),
        "lz4": Codec(filter=32004, plugin=True),
    }
)


def check_codec(name: str) -> str:
    """The name, if such a codec exists and can be used here.

    Raises
    ------
    SynthanomError
    """
    if name not in CODECS:
        raise SynthanomError(f"--codec must be one of {', '.join(CODECS)}, got {name!r}{meant(name, CODECS)}")
    if CODECS[name].plugin and util.find_spec(PLUGIN) is None:
        raise SynthanomError(f"--codec {name} needs hdf5plugin: pip install 'synthanom[fast]', or take another codec")
    return name


def filter_arguments(name: str) -> dict[str, Any]:
    """What h5py's `create_dataset` takes to compress so.

    Raises
    ------
    SynthanomError
        As `check_codec`.
    """
    check_codec(name)
    if name == "gzip":
        return {"compression": "gzip", "compression_opts": 1}
    if name == "lzf":
        return {"compression": "lzf"}
    import hdf5plugin

    return dict(hdf5plugin.Zstd(clevel=1) if name == "zstd" else hdf5plugin.LZ4())


def codec_of(filters: list[int]) -> str:
    """The codec of a column by its filters, ready to be read; empty where it is not compressed.

    Raises
    ------
    SynthanomError
        If reading needs a package that is not here.
    """
    name = next((name for name, codec in CODECS.items() if codec.filter in filters), "")
    if name and CODECS[name].plugin:
        if util.find_spec(PLUGIN) is None:
            raise SynthanomError(f"is compressed with {name}, which needs hdf5plugin: pip install 'synthanom[fast]'")
        import hdf5plugin  # noqa: F401  # importing it makes HDF5 find the filter
    return name


def codec_version(name: str) -> dict[str, str]:
    """What a fingerprint needs to hold besides, as bytes depend on it."""
    return {PLUGIN: metadata.version(PLUGIN)} if CODECS[check_codec(name)].plugin else {}
