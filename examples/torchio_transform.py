"""Anomalies in a TorchIO pipeline: python examples/torchio_transform.py (needs the extra `torchio`)."""

import torch
import torchio as tio

from synthanom import Mixture, tasks
from synthanom.integrations.torchio import RandomAnomaly


def main() -> None:
    """Two volumes through a Compose and a loader; then one picture again from its history."""
    torch.manual_seed(0)
    volumes = [torch.randn(1, 24, 20, 16) for _ in range(2)]
    subjects = [tio.Subject(t1=tio.ScalarImage(tensor=volume), id=f"case-{i}") for i, volume in enumerate(volumes)]
    pipeline = tio.Compose(
        [
            tio.ZNormalization(),
            RandomAnomaly(Mixture(tasks=[tasks.Sink(), tasks.Source()]), label="anomaly"),
            tio.RandomNoise(std=0.01),
        ]
    )
    for batch in tio.SubjectsLoader(tio.SubjectsDataset(subjects, pipeline), batch_size=2):
        print(tuple(batch["t1"][tio.DATA].shape), tuple(batch["anomaly"][tio.DATA].shape))
    changed = pipeline(subjects[0])
    again = changed.get_composed_history()(subjects[0])
    print("the same again:", torch.equal(changed["t1"].data, again["t1"].data), [t.name for t in changed.history])


if __name__ == "__main__":
    main()
