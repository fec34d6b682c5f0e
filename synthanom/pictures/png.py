"""Arrays to PNG files: panels with a palette, a third of the bytes of full colour, and score maps in 16 bits."""

import struct
import zlib

import numpy as np
import numpy.typing as npt

MARK = "synthanom picture"  # the PNG's "Software" text, by which our own pictures are told from others'
SIGNATURE = b"\x89PNG\r\n\x1a\n"
Pixels = npt.NDArray[np.uint8]


def palette_png(pixels: Pixels, palette: Pixels) -> bytes:
    """Encode pixels (Y, X, 3), each as the nearest of at most 256 colours (n, 3), n > 0.

    References
    ----------
    PNG specification, third edition, https://www.w3.org/TR/png-3/.
    """
    return indexed_png(_nearest(pixels, palette), palette)


def indexed_png(indices: Pixels, palette: Pixels, opacity: Pixels | None = None) -> bytes:
    """Encode the numbers (Y, X) of colours in a palette of at most 256 (n, 3), each with an opacity (n,) if wanted."""
    rows = np.zeros((indices.shape[0], indices.shape[1] + 1), dtype=np.uint8)  # each begins with filter 0: none
    rows[:, 1:] = indices
    height, width = indices.shape
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"tEXt", b"Software\0" + MARK.encode("latin-1")),
        (b"PLTE", palette.tobytes()),
        *(() if opacity is None else ((b"tRNS", opacity.tobytes()),)),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    return SIGNATURE + b"".join(_chunk(name, data) for name, data in chunks)


def is_our_picture(content: bytes) -> bool:
    """Whether these are the first bytes (64 at least) of a PNG from `palette_png`.

    Parameters
    ----------
    content : bytes
        At least 64, the first of a file.

    Returns
    -------
    bool
    """
    return content.startswith(SIGNATURE) and MARK.encode() in content[:80]


def grey_png(values: npt.NDArray[np.floating]) -> bytes:
    """Encode values (Y, X) in [0, 1] as a grey PNG of 16 bits, so that a score map keeps its ranking."""
    levels = np.rint(np.asarray(values, dtype=np.float64) * 65535).astype(">u2")
    height, width = levels.shape
    rows = np.zeros((height, 1 + 2 * width), dtype=np.uint8)
    rows[:, 1:] = np.ascontiguousarray(levels).view(np.uint8)
    header = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(name, data) for name, data in chunks)


def _nearest(pixels: Pixels, palette: Pixels) -> Pixels:
    """Index of the nearest colour, by Euclidean distance, of every pixel."""
    wide = pixels.astype(np.uint32)
    packed = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
    found, where = np.unique(packed, return_inverse=True)
    colours = np.stack([found >> 16, (found >> 8) & 255, found & 255], axis=1).astype(np.float32)
    table = palette.astype(np.float32)
    # |a - b|^2 without the |a|^2 that all candidates share
    nearest = np.argmin((table**2).sum(axis=1) - 2 * colours @ table.T, axis=1)
    return np.asarray(nearest[where.reshape(packed.shape)], dtype=np.uint8)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
