"""Where a sample's time goes: the faces of kernels and of drawing, timed without what they call in turn."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from synthanom import labels, regions, synthesis
from synthanom.kernels import affine_patch, poisson, radial_warp, smooth_change
from synthanom.tasks import deformation, donor_patch

FACES: tuple[tuple[Any, str, str], ...] = (
    (synthesis, "draw_anomalies", "draw"),
    (regions, "draw", "place"),
    (affine_patch, "sample", "resample donor"),
    (poisson, "blend_box", "blend"),
    (poisson, "integrate_box", "integrate"),
    (donor_patch.AbstractBlend, "touched", "join"),
    (radial_warp, "warp_box", "warp"),
    (deformation, "draw_deformation", "strength"),
    (smooth_change, "largest_depth", "depth drawn"),
    (smooth_change, "change_box", "ramp"),
    (labels.FlippedGaussian, "label_box", "label"),
)
REST = "copies, rest"


class Clock:
    """Adds up the seconds of named steps; what a step calls counts for the called one only."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._inner: list[float] = [0.0]  # seconds of the steps within each step that is running

    def timed(self, step: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time noted."""

        def run(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            start = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                elapsed = time.perf_counter() - start
                own = elapsed - self._inner.pop()
                self.spent[step] = self.spent.get(step, 0.0) + own
                self._inner[-1] += elapsed

        return run


@contextmanager
def watched(clock: Clock) -> Iterator[None]:
    """Within it, every face notes its time."""
    with ExitStack() as stack:
        for owner, name, step in FACES:
            timed = clock.timed(step, getattr(owner, name))
            static = isinstance(owner, type) and isinstance(vars(owner).get(name), staticmethod)
            stack.enter_context(mock.patch.object(owner, name, staticmethod(timed) if static else timed))
        yield


def shares(call: Callable[[], object], passes: int) -> dict[str, float]:
    """Each step's part of the time of a call, its fastest pass counting, largest first; they add up to 1."""
    fastest: dict[str, float] = {}
    for _ in range(passes):
        clock = Clock()
        with watched(clock):
            clock.timed(REST, call)()
        fastest = {step: min(t, fastest.get(step, t)) for step, t in clock.spent.items()}
    total = sum(fastest.values())
    return {step: t / total for step, t in sorted(fastest.items(), key=lambda item: -item[1])}
