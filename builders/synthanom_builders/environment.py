"""Whether this process may take part in a build: libraries and processor settle the last bits."""

import platform
from functools import lru_cache

from synthanom.errors import SynthanomError
from synthanom.shards import fingerprint
from synthanom_builders.plan import Plan


def environment_of(plan: Plan, mixed: bool) -> dict[str, str] | None:
    """The fingerprint of this process where it is not the plan's.

    Parameters
    ----------
    plan : Plan
    mixed : bool
        Whether it may be another one.

    Raises
    ------
    SynthanomError
        If it is another one and may not.
    """
    here, planned = _here(plan.codec), plan.environment
    if here == planned:
        return None
    if not mixed:
        name = next(name for name in sorted({*here, *planned}) if here.get(name) != planned.get(name))
        raise SynthanomError(
            f"{platform.node()}: must have the fingerprint that was planned, got {name} {here.get(name)} instead of "
            f"{planned.get(name)}; leave this machine out, or allow it with --mixed-fingerprints"
        )
    return here


@lru_cache(maxsize=1)
def _here(codec: str) -> dict[str, str]:
    return fingerprint(codec)
