"""Batches of anomalies made on the device that trains: python examples/gpu_collate.py (without a GPU: on the CPU)."""

import numpy as np
import torch
from torch.utils.data import DataLoader

from synthanom import Mixture, Sample, tasks
from synthanom.integrations.collate import BatchSynthesis, collate_samples


def main() -> None:
    """Loader workers stack Samples; their pictures are made where the batch was moved to, as no worker could."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rng = np.random.default_rng(0)
    samples = [Sample.from_array(rng.standard_normal((1, 48, 48)), id=f"case-{i}") for i in range(6)]
    loader = DataLoader(
        samples, batch_size=3, collate_fn=collate_samples, num_workers=1, pin_memory=device.type == "cuda"
    )
    mixture = Mixture(tasks=[tasks.IntraBlend(), tasks.Sink()], donors=samples, probability=0.8, otherwise="healthy")
    synthesis = BatchSynthesis(mixture, seed=0)
    for epoch in range(2):
        synthesis.set_epoch(epoch)
        for batch in loader:
            made = synthesis(batch.to(device, non_blocking=True))
            print(epoch, made.images.device.type, tuple(made.images.shape), tuple(made.labels.shape))


if __name__ == "__main__":
    main()
