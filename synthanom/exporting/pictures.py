"""Reading the rows that are exported, each healthy image once for all its variants."""

import threading
from dataclasses import dataclass

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.sample import Sample
from synthanom.shards import DataSet
from synthanom.shards.boxes import paste


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """An anomalous picture beside the healthy image it was made from.

    Attributes
    ----------
    sample : Sample
    image : ndarray of shape (C, *S), float32
    label : ndarray of shape (*S), float32
    region : ndarray of shape (*S), bool
    recipe : str
        Canonical JSON.
    """

    sample: Sample
    image: ImageArray
    label: ImageArray
    region: MaskArray
    recipe: str


class Pictures:
    """Reads pictures for several threads; the healthy image read last is kept, as rows are in its order."""

    def __init__(self, data: DataSet) -> None:
        self.data = data
        self._lock = threading.Lock()
        self._last: tuple[int, Sample] | None = None

    def healthy(self, index: int) -> Sample:
        """The healthy sample of a row.

        Raises
        ------
        SynthanomError
            If it is damaged.
        """
        with self._lock:
            if self._last is None or self._last[0] != index:
                self._last = index, self.data.healthy(index)
            return self._last[1]

    def anomaly(self, task: str, row: int) -> Picture:
        """The picture of a row, equal to the data set's.

        Raises
        ------
        SynthanomError
            If it or its healthy image is damaged.
        """
        stored = self.data.anomaly_row(task, row)
        sample = self.healthy(stored.healthy_index)
        image, label, region = paste(np.array(sample.image), stored.boxes)
        return Picture(sample=sample, image=image, label=label, region=region, recipe=stored.recipe.decode("ascii"))
