"""The connection to a Dask cluster, and questions to all of its workers that end in time."""

import asyncio
import logging
import re
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from distributed import Client
from distributed.versions import VersionMismatchWarning

from synthanom.errors import SynthanomError

CONNECT_SECONDS = 15.0
ASK_SECONDS = 60.0  # that a worker may take to answer: it may have to load libraries first
ADDRESS = re.compile(r"(?:(?:tcp|tls|wss?|ucx)://)?[^/\s]+:[0-9]{1,5}")
NO_ADDRESS = "--scheduler must be the address of a running Dask scheduler, as tcp://host:8786"
LOGGERS = ("distributed", "distributed.client", "tornado.application", "asyncio")
NO_SCHEDULER = "run the same command again when it is back (what is finished is kept)"


class Cluster:
    """A Dask cluster that this process is connected to; made by `connected`."""

    def __init__(self, client: Client, address: str) -> None:
        self.client = client
        self.address = address

    @property
    def there(self) -> bool:
        """Whether the scheduler is still the one that was connected to."""
        return bool(self.client.status == "running")

    def gone(self) -> SynthanomError:
        """What to raise when it is not."""
        return SynthanomError(
            f"{self.address}: the scheduler must stay while it is worked for, and went away; {NO_SCHEDULER}"
        )

    def workers(self) -> dict[str, int]:
        """Addresses of the workers, and how many threads each has.

        Raises
        ------
        SynthanomError
            If the scheduler is gone.
        """
        found: dict[str, int] = self._in_time(lambda: self.client.nthreads())
        return found

    def ask(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        of: Collection[str] | None = None,
        seconds: float = ASK_SECONDS,
    ) -> dict[str, Any]:
        """Call a function in worker processes, whatever they are doing; answers, or what was raised, by address.

        Parameters
        ----------
        function : callable
        *arguments
            Of the function.
        of : collection of str, optional
            Addresses of the workers; without it all that there are.
        seconds : float
            That each may take.

        Raises
        ------
        SynthanomError
            If the scheduler is gone.
        """
        addresses = list(self.workers() if of is None else of)

        async def one(address: str) -> Any:
            try:
                answers = self.client.run(function, *arguments, workers=[address], on_error="return")
                return (await asyncio.wait_for(answers, seconds))[address]
            except (OSError, KeyError) as error:  # also TimeoutError
                return error

        async def every() -> list[Any]:
            return list(await asyncio.gather(*map(one, addresses)))

        answers = self._in_time(every, 2 * seconds)
        return dict(zip(addresses, answers, strict=True))

    def _in_time(self, question: Callable[[], Any], seconds: float = ASK_SECONDS) -> Any:
        """The result of a coroutine that runs beside the connection."""
        if not self.there:
            raise self.gone()

        async def answer() -> Any:
            return await asyncio.wait_for(question(), seconds)

        try:
            return self.client.sync(answer)
        except (OSError, RuntimeError, asyncio.CancelledError) as error:
            raise self.gone() from error


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """A connection to the scheduler at `address` during the block.

    Raises
    ------
    SynthanomError
        If nobody answers there.
    """
    if ADDRESS.fullmatch(address) is None:  # Dask leaves half a client behind for some of these
        raise SynthanomError(f"{NO_ADDRESS}, got {address!r}; look at what it printed when it was started")
    with _quiet():
        try:
            client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, RuntimeError, ImportError, TypeError) as error:
            raise SynthanomError(
                f"{NO_ADDRESS}, got {address} ({_reason(error)}); start it, or look at what it printed then"
            ) from error
        try:
            with client.as_current():  # not as the default of everything else in this process
                yield Cluster(client, address)
        finally:
            with suppress(OSError):  # a scheduler that is gone cannot be said goodbye to
                client.close(timeout=CONNECT_SECONDS)


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask prints what goes wrong with tracebacks, where one line is said here."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VersionMismatchWarning)  # fingerprints say it better
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
