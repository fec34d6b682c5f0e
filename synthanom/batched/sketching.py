"""The compiled call that draws a chunk, and what it is given."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from synthanom.batched import drawing as d
from synthanom.batched.inputs import BatchInputs
from synthanom.batched.items import Drawn
from synthanom.batched.pool import DonorPool
from synthanom.batched.stream_states import GeneratorStates, PhiloxMemory, PhiloxStates
from synthanom.batched.tables import Integers, TaskTable


@dataclass(frozen=True, kw_only=True, eq=False)
class Sketcher:
    """Draws the anomalies of some samples of a batch, as far as that needs no picture.

    Attributes
    ----------
    streams : the batch's random streams
    given : (sides, axes, channels, most anomalies, probability of another)
    tasks : int64 (B, 2), the task and the subject of each sample
    table : (kinds, settings, subjects of all donors, each task's first donor)
    """

    streams: PhiloxStates | GeneratorStates
    given: tuple[Any, ...]
    tasks: Integers
    table: tuple[Any, ...]
    memory: PhiloxMemory = field(default_factory=PhiloxMemory)

    @classmethod
    def of(
        cls, inputs: BatchInputs, streams: PhiloxStates | GeneratorStates, table: TaskTable, pool: DonorPool
    ) -> "Sketcher":
        """The sketcher of a batch."""
        channels, *shape = inputs.images.shape[1:]
        numbers = {name: i for i, name in enumerate(dict.fromkeys(inputs.subjects))}
        donors = [
            [numbers.get(name, -1) for name in (pool.subjects(number) if number >= 0 else ())] for number in table.sets
        ]
        sides = np.array((1,) * (3 - len(shape)) + tuple(shape), dtype=np.int64)
        return cls(
            streams=streams,
            given=(sides, len(shape), int(channels), inputs.options.max_anomalies, float(inputs.options.repeat)),
            tasks=np.stack(
                [table.of_sample, np.array([numbers[name] for name in inputs.subjects], dtype=np.int64)], axis=1
            ),
            table=(
                table.kinds,
                table.drawn,
                np.array([code for codes in donors for code in codes], dtype=np.int64),
                np.cumsum([0, *map(len, donors)]).astype(np.int64),
            ),
        )

    def __call__(self, samples: Integers) -> Drawn:
        """Draw for these samples of the batch, each from where its stream is."""
        rows = 4 * samples.size
        whole = np.zeros((rows, d.WHOLE), dtype=np.int64)
        real = np.zeros((rows, d.NUMBERS + max(2, 1 + self.given[2])))
        certain = np.zeros(samples.size, dtype=np.bool_)
        if isinstance(self.streams, PhiloxStates):
            m = self.memory
            count = d.draw_streams(
                (m.generator, m.counter, m.key, m.rest),
                self.streams.now,
                samples,
                self.given,
                self.tasks,
                self.table,
                whole,
                real,
                certain,
            )
        else:
            count = 0
            for k, i in enumerate(samples.tolist()):
                rng = self.streams.generators[i]
                added, certain[k] = d.draw_stream(rng, i, self.given, self.tasks, self.table, whole, real, count)
                count += added
        place = np.empty(self.tasks.shape[0], dtype=np.int64)
        place[samples] = np.arange(samples.size)
        whole[:count, d.SAMPLE] = place[whole[:count, d.SAMPLE]]
        return Drawn(samples=samples, certain=certain, whole=whole[:count], real=real[:count], flat=self.given[1] == 2)
