"""numba's `njit` for everything that synthanom compiles: kept between processes wherever there is a place for it.

numba by itself raises at import where it can write neither beside the source nor in the user's cache, and takes kept
code for fresh although a compiled function that it calls, in another file, has changed since.
"""

import contextlib
import functools
import hashlib
import os
import stat
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

import numba
from numba.extending import is_jitted

PROBE = 1 << 13  # bytes written where code is to be kept: a full disk should be noticed before it matters
F = TypeVar("F", bound=Callable[..., Any])
_LOCK = threading.Lock()
_CONFIG: Any = numba.config  # its names are made at run time


def njit(**options: Any) -> Callable[[F], F]:
    """As `numba.njit`, with a better place for ``cache=True``.

    Compiled code is kept in the first of these that can be written: NUMBA_CACHE_DIR, ``__pycache__`` beside the source,
    ``synthanom`` in the user's cache, a folder in the temporary directory that only this user may open. Without any of
    them every process compiles for itself, and one warning says so. NUMBA_CACHE_LOCATOR_CLASSES switches all this off.

    A change in a source file makes everything compile anew that calls a function of this file. Other values that a
    compiled function takes from files of which it calls nothing are not watched: define them beside it.
    """

    def decorate(function: F) -> F:
        with _LOCK:
            chosen = getattr(_CONFIG, "CACHE_LOCATOR_CLASSES", "")
            _CONFIG.CACHE_LOCATOR_CLASSES = chosen or f"{__name__}.{Place.__name__}"
            try:
                compiled: F = numba.njit(**options)(function)
            except RuntimeError:  # numba's way to say that there is no place
                if chosen:
                    raise
                _say_nothing_is_kept()
                compiled = numba.njit(**{**options, "cache": False})(function)
            finally:
                _CONFIG.CACHE_LOCATOR_CLASSES = chosen
        return compiled

    return decorate


class Place:
    """Where the compiled code of one function is kept and what it was made from, as numba asks its cache locators."""

    def __init__(self, function: Callable[..., Any], file: str, folder: Path) -> None:
        self._function, self._folder = function, folder
        self._py_file = file  # under this name numba reads it for a warning

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> "Place | None":
        """The first place that can be written; None makes numba give up."""
        source = Path(file)
        folders = _folders(source) if source.is_file() else ()  # not typed in, nor from an archive
        folder = next(filter(_is_writable, folders), None)
        return None if folder is None else cls(function, file, folder)

    def ensure_cache_path(self) -> None:
        """Make the folder, should it have gone since."""
        self._folder.mkdir(parents=True, exist_ok=True)

    def get_cache_path(self) -> str:
        """The folder."""
        return str(self._folder)

    def get_source_stamp(self) -> str:
        """Digest of the file and of all files whose functions it may call."""
        digest = hashlib.sha256()
        for file in sorted(_sources(self._function, self._py_file)):
            digest.update(_digest(file))
        return digest.hexdigest()

    def get_disambiguator(self) -> str:
        """Tells functions of one name in one file apart."""
        return str(self._function.__code__.co_firstlineno)


def _folders(file: Path) -> Iterator[Path]:
    # one folder per source folder: its name for people, a digest because names repeat
    own = f"{file.parent.name}_{hashlib.sha1(bytes(file.parent.absolute())).hexdigest()}"
    if _CONFIG.CACHE_DIR:
        yield Path(_CONFIG.CACHE_DIR) / own
    yield file.parent / "__pycache__"
    with contextlib.suppress(RuntimeError):  # a user without a home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "synthanom" / own
    private = _private_folder()
    if private is not None:
        yield private / own


@functools.cache
def _private_folder() -> Path | None:
    """A folder in the temporary directory that nobody else can write: what lies there is run as code."""
    if sys.platform == "win32":
        return None
    try:
        folder = Path(tempfile.gettempdir()) / f"synthanom-{os.geteuid()}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return folder if private else None


@functools.cache
def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(PROBE))
    except OSError:
        return False
    return True


def _sources(function: Callable[..., Any], file: str) -> set[str]:
    """Its file and, from file to file, those of the functions that a function may call.

    These are compiled functions, and others of the same package: they may have compiled forms that numba knows of.
    """
    package = function.__module__.partition(".")[0]
    found, waiting = {file}, [function.__globals__]
    while waiting:
        for value in list(waiting.pop().values()):
            called = value.py_func if is_jitted(value) else value
            if not isinstance(called, FunctionType) or called.__code__.co_filename in found:
                continue
            if called is not value or called.__module__.partition(".")[0] == package:
                found.add(called.__code__.co_filename)
                waiting.append(called.__globals__)
    return found


@functools.cache
def _digest(file: str) -> bytes:
    return hashlib.sha256(Path(file).read_bytes()).digest()


@functools.cache  # once per process
def _say_nothing_is_kept() -> None:
    warnings.warn(
        "compiled kernels cannot be kept, so every process compiles them again; set NUMBA_CACHE_DIR to a folder that "
        "can be written",
        RuntimeWarning,
        stacklevel=3,
    )
