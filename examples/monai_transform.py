"""Anomalies in a MONAI pipeline: python examples/monai_transform.py (needs the extra `monai`)."""

import numpy as np
from monai.data import CacheDataset, DataLoader
from monai.transforms import Compose, EnsureTyped, RandFlipd, ScaleIntensityd

from synthanom import Mixture, tasks
from synthanom.integrations.monai import RandSynthesised


def main() -> None:
    """Three items through a Compose that is cached up to the first random transform, and two epochs of a DataLoader."""
    rng = np.random.default_rng(0)
    items = [{"image": rng.random((1, 32, 32), dtype=np.float32), "id": f"case-{i}"} for i in range(3)]
    pipeline = Compose(
        [
            EnsureTyped("image"),
            ScaleIntensityd("image", minv=-1.0, maxv=1.0),
            # with seed=, pictures would depend on it, the item's id and set_epoch(...) alone
            RandSynthesised("image", Mixture(tasks=[tasks.Sink(), tasks.SmoothIntensity()]), recipe_key="recipe"),
            RandFlipd(["image", "label"], prob=0.5),
        ]
    ).set_random_state(0)
    data = CacheDataset(items, pipeline, progress=False)
    for epoch in range(2):
        for batch in DataLoader(data, batch_size=3):
            print(epoch, tuple(batch["image"].shape), tuple(batch["label"].shape), float(batch["label"].max()))


if __name__ == "__main__":
    main()
