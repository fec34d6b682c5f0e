"""Whether this process may take part in a build: libraries and processor settle the last bits."""

import platform
from collections.abc import Mapping
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
        raise other_fingerprint(platform.node(), here, planned)
    return here


def other_fingerprint(who: str, here: Mapping[str, str], planned: Mapping[str, str]) -> SynthanomError:
    """The refusal of a process whose fingerprint is `here`."""
    name = next(name for name in sorted({*here, *planned}) if here.get(name) != planned.get(name))
    return SynthanomError(
        f"{who}: must have the fingerprint that was planned, got {name} {here.get(name)} instead of "
        f"{planned.get(name)}; leave this machine out, or allow it with --mixed-fingerprints"
    )


@lru_cache(maxsize=1)
def _here(codec: str) -> dict[str, str]:
    return fingerprint(codec)
