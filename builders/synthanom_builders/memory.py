"""Lack of memory, said in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from synthanom.errors import SynthanomError

DEEPEST = 8  # errors that were caused by one another


@contextmanager
def memory_for(what: str) -> Iterator[None]:
    """Turn lack of memory during the block into a refusal that says what it was for.

    Raises
    ------
    SynthanomError
    """
    try:
        yield
    except MemoryError as error:
        raise SynthanomError(
            f"ran out of memory while {what}; run the same command again with fewer --workers (what is finished is "
            "kept), or with a smaller --shape into another --out"
        ) from error


def not_for_memory(error: BaseException) -> None:
    """Let an error pass that is not due to lack of memory, which readers take for damage of the file.

    Raises
    ------
    MemoryError
        If it is: leaving the image out would be chance.
    """
    cause: BaseException | None = error
    for _ in range(DEEPEST):
        if cause is None:
            return
        if isinstance(cause, MemoryError):
            raise MemoryError(str(error)) from error
        cause = cause.__cause__
