"""The same small net, taught by some tasks for a fixed number of steps, for examples/which_tasks.py."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
import numpy.typing as npt
import torch
from teach_sets import Part, Teaching
from torch.nn import functional

from synthanom import Sample
from synthanom.mixture import Mixture
from synthanom.networks.unet import UNet
from synthanom.tasks import PAPER_TASKS, TASKS
from synthanom.training.config import OptimiserConfig
from synthanom.training.schedule import rate_factor

BASE = 8  # features at the finest resolution
TOGETHER = 16  # test images scored at once
FLOOR = 0.05  # of the learning rate, reached by the last step


def lessons() -> dict[str, tuple[str, ...]]:
    """No task, every task alone, and mixtures: name -> tasks of which every picture gets one."""
    kinds: dict[str, str] = {}
    for name, task in TASKS.items():
        kinds.setdefault(task.kind, name)
    found = {name: (name,) for name in TASKS}
    return {"untrained": (), **found, "paper": PAPER_TASKS, "kinds": tuple(kinds.values()), "all": tuple(TASKS)}


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What one net is taught.

    Attributes
    ----------
    tasks : tuple of str
        None leave the net as it was drawn.
    seed : int
        Of weights, order and anomalies.
    steps : int
    """

    tasks: tuple[str, ...]
    seed: int
    steps: int


def taught(lesson: Lesson, teaching: Teaching, part: Part) -> torch.nn.Module:
    """A net after all its steps: nothing is chosen, the last weights count."""
    net = drawn(lesson, teaching, part)
    if not lesson.tasks:
        return net.eval()
    optimiser_settings = OptimiserConfig(
        learning_rate=0.005, warmup_steps=min(20, lesson.steps), decay=FLOOR ** (1 / lesson.steps), floor=FLOOR
    )
    optimiser = torch.optim.AdamW(net.parameters(), lr=optimiser_settings.learning_rate, weight_decay=0.0)
    rates = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_factor(step, optimiser_settings))
    pictures = shown(lesson, teaching)
    for _ in range(lesson.steps):
        images, labels = zip(*(next(pictures) for _ in range(part.batch)), strict=True)
        scores = net(torch.from_numpy(np.stack(images)))[:, 0]
        loss = functional.mse_loss(scores, torch.from_numpy(np.stack(labels)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rates.step()
    return net.eval()


def drawn(lesson: Lesson, teaching: Teaching, part: Part) -> torch.nn.Module:
    """The net before its first step: the same for every lesson of a seed."""
    first = teaching.healthy[0]
    with torch.random.fork_rng():
        torch.manual_seed(lesson.seed)
        return UNet(dims=len(first.shape), in_channels=len(first.image), base=BASE, resolutions=part.resolutions)


def shown(lesson: Lesson, teaching: Teaching) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    """Endless pictures and labels, every healthy image once an epoch, with a new anomaly each time."""
    mixture = Mixture(tasks=[TASKS[name]() for name in lesson.tasks], donors=teaching.donors, otherwise="healthy")
    for epoch in count():
        for number in np.random.default_rng([lesson.seed, epoch]).permutation(len(teaching.healthy)):
            sample: Sample = teaching.healthy[int(number)]
            made = mixture.make(sample, seed=lesson.seed, draw=f"epoch-{epoch}")
            if made is None:
                yield sample.image, np.zeros(sample.shape, np.float32)
            else:
                yield made.image, made.label


def scores_of(net: torch.nn.Module, teaching: Teaching, part: Part) -> npt.NDArray[np.float64]:
    """One number per test image."""
    test = teaching.test
    with torch.inference_mode():
        maps = np.concatenate(
            [
                net(torch.from_numpy(test.images[start : start + TOGETHER]))[:, 0].clamp(0, 1).numpy()
                for start in range(0, len(test.images), TOGETHER)
            ]
        )
    return np.array([part.score(found, inside) for found, inside in zip(maps, test.foregrounds, strict=True)])
