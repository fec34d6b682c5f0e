"""synthanom in a MONAI pipeline: a dictionary transform of a few lines.

Run it: python examples/monai_transform.py (needs the extra `monai`; the transform itself needs nothing of MONAI's).
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from synthanom import Sample, stream, synthesise, tasks
from synthanom.labels import FlippedGaussian
from synthanom.tasks import AbstractTask


class SynthesiseAnomalyd:
    """Put anomalies into `image` and their soft label beside it, in MONAI's dictionary style.

    The picture depends on (seed, the item's id, task, epoch) alone, so workers and their number cannot matter.

    Parameters
    ----------
    task : AbstractTask
    seed : int
    donors : sequence of Samples, for the blending tasks
    image_key, foreground_key, id_key, label_key : str
        Where the dictionary holds the image (C, *S), its foreground bool (*S) if there is one, and the item's id; and
        where the label float32 (1, *S) goes.
    """

    def __init__(
        self,
        task: AbstractTask,
        *,
        seed: int,
        donors: Sequence[Sample] | None = None,
        image_key: str = "image",
        foreground_key: str = "foreground",
        id_key: str = "id",
        label_key: str = "label",
    ) -> None:
        self.task, self.seed, self.donors = task, seed, donors
        self.image_key, self.foreground_key = image_key, foreground_key
        self.id_key, self.label_key = id_key, label_key
        self.epoch = torch.zeros(1, dtype=torch.int64).share_memory_()  # seen by workers that outlive an epoch

    def set_epoch(self, epoch: int) -> None:
        """Make other pictures from now on."""
        self.epoch.fill_(epoch)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` with the changed image and the label."""
        foreground = data.get(self.foreground_key)
        sample = Sample.from_array(
            np.asarray(data[self.image_key]),
            None if foreground is None else np.asarray(foreground).reshape(np.shape(data[self.image_key])[1:]) > 0,
            id=str(data[self.id_key]),
        )
        rng = stream(self.seed, sample.id, self.task.name, f"epoch-{int(self.epoch.item())}")
        result = synthesise(sample, self.task, FlippedGaussian(), rng=rng, donors=self.donors)
        return {
            **data,
            self.image_key: torch.from_numpy(result.image),
            self.label_key: torch.from_numpy(result.label)[None],
        }


def main() -> None:
    """Three items through a MONAI Compose, Dataset and DataLoader."""
    from monai.data import DataLoader, Dataset
    from monai.transforms import Compose, ScaleIntensityd

    rng = np.random.default_rng(0)
    items = [{"image": rng.random((1, 32, 32), dtype=np.float32), "id": f"case-{i}"} for i in range(3)]
    transform = SynthesiseAnomalyd(tasks.Sink(), seed=0)
    pipeline = Compose([ScaleIntensityd("image", minv=-1.0, maxv=1.0), transform])
    for epoch in range(2):
        transform.set_epoch(epoch)
        for batch in DataLoader(Dataset(items, pipeline), batch_size=3):
            print(epoch, tuple(batch["image"].shape), tuple(batch["label"].shape), float(batch["label"].max()))


if __name__ == "__main__":
    main()
