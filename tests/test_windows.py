"""Sliding windows give the map of the whole image, without seams, in the memory that they are allowed."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from lively import lively

from synthanom.detectors.memory import bytes_per_voxel, free_bytes, granularity, largest_window
from synthanom.detectors.multitask import MultiTask
from synthanom.detectors.scoring import Scoring, scorer
from synthanom.detectors.windows import stretches, windowed_map
from synthanom.errors import SynthanomError
from synthanom.networks.positioned import PositionedNetwork, input_channels
from synthanom.networks.positions import Place, position_channels
from synthanom.networks.unet import UNet


class Near(torch.nn.Module):
    """Two convolutions: looks two voxels far. Remembers the largest image that it saw."""

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        kind = torch.nn.Conv3d if dims == 3 else torch.nn.Conv2d
        self.one, self.two = kind(channels, 4, 3, padding=1), kind(4, 1, 3, padding=1)
        self.most = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.most = max(self.most, x[0, 0].numel())
        return self.two(torch.nn.functional.gelu(self.one(x)))


def near(dims: int, shape: tuple[int, ...], seed: int = 0) -> MultiTask:
    torch.manual_seed(seed)
    inner = Near(dims, input_channels(1, dims, positions=True))
    return MultiTask(network=PositionedNetwork(inner, shape))


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((1, *shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "window"), [((150, 97), (64, 96)), ((70, 40, 129), (64, 64, 64)), ((65, 64, 130), (64, 64, 96))]
)
def test_windows_equal_the_whole_where_the_network_looks_no_farther_than_the_margin(shape, window):
    """With position channels: those of the whole image, else the maps would be far apart."""
    image, detector = noise(shape), near(len(shape), (16,) * len(shape))
    whole = scorer(detector, Scoring(), 1, len(shape)).map(image)
    found = scorer(detector, Scoring(window=window), 1, len(shape)).map(image)
    assert np.abs(found - whole).max() < 1e-6 < whole.std()


@pytest.mark.parametrize(
    ("side", "window", "multiple"), [(100, 32, 16), (33, 32, 16), (500, 64, 1), (47, 4, 2), (9, 16, 4)]
)
def test_weights_of_every_voxel_sum_to_one_and_vanish_at_cuts(side, window, multiple):
    parts = stretches(side, window, multiple)
    total = np.zeros(side)
    for part in parts:
        total[part.voxels] += part.weight
        assert part.start % multiple == 0 and len(part.weight) <= max(window, side if window >= side else 0)
        assert window >= side or len(part.weight) > window - multiple  # cut no shorter than it must be
        margin = window // 8
        assert part.start == 0 or not part.weight[:margin].any()
        assert part.start + len(part.weight) == side or margin == 0 or not part.weight[-margin:].any()
    assert np.allclose(total, 1, atol=1e-12)
    assert parts[0].start == 0 and parts[-1].start + len(parts[-1].weight) == side


def test_a_constant_map_has_no_seams():
    found = windowed_map(noise((90, 70, 50)), (32, 32, 48), lambda w, _: np.full(w.shape[1:], 0.7, np.float32), 16)
    assert np.abs(found - np.float32(0.7)).max() < 3e-7


def test_places_cut_the_channels_of_the_whole_image():
    whole = position_channels((30, 21, 17))
    place = Place(whole=(30, 21, 17), corner=(11, 0, 9))
    assert np.array_equal(position_channels((12, 21, 8), place), whole[:, 11:23, :, 9:17])
    with pytest.raises(SynthanomError, match="inside its image"):
        position_channels((12, 22, 8), place)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_unet_without_norms_is_cut_on_its_own_grid(dims):
    """Receptive radius of 2 resolutions is under 16 voxels: equal, if windows start at multiples of its stride."""
    torch.manual_seed(0)
    unet = UNet(dims=dims, in_channels=input_channels(1, dims, positions=True), base=2, resolutions=2)
    for block in [m for m in unet.modules() if isinstance(m, torch.nn.Sequential)]:
        for i, part in enumerate(block):
            if isinstance(part, torch.nn.InstanceNorm2d | torch.nn.InstanceNorm3d):
                block[i] = torch.nn.Identity()
    detector = MultiTask(network=PositionedNetwork(lively(unet), (16,) * dims))
    shape = (150,) * dims if dims == 2 else (141, 20, 24)
    image = noise(shape)
    whole = scorer(detector, Scoring(), 1, dims).map(image)
    found = scorer(detector, Scoring(window=(128,) * dims), 1, dims).map(image)
    assert np.abs(found - whole).max() < 1e-6 * np.abs(whole).max() < np.abs(whole).max()


def test_memory_bounds_what_the_network_sees():
    detector = near(3, (16,) * 3)
    each = bytes_per_voxel(detector, 1, 3)
    for memory in (3e5 * each, 4e5 * each):
        detector.network.network.most = 0
        ready = scorer(detector, Scoring(memory=int(memory)), 1, 3)
        ready.map(noise((90, 80, 100)))
        most = detector.network.network.most
        assert most * each <= memory and most > 0.5 * memory / each
    with pytest.raises(SynthanomError, match=r"smallest window .* GiB"):
        scorer(detector, Scoring(memory=1000), 1, 3).map(noise((90, 80, 100)))


def test_the_estimate_counts_input_positions_and_features():
    detector = near(2, (16, 16))
    known = 4 * (1 + 66 + 67)  # the image, its channels, and both together
    assert 1.0 * known < bytes_per_voxel(detector, 1, 2) < 2.5 * known
    assert granularity(detector.module) == 32
    assert granularity(UNet(dims=2, in_channels=1, base=2, resolutions=4)) == 8


@pytest.mark.parametrize("shape", [(300, 200, 100), (64, 64), (1000, 37)])
def test_the_largest_window_fits_and_is_whole_where_it_can_be(shape):
    for voxels in (5e3, 1e5, 1e9):
        window = largest_window(shape, voxels, 16)
        if window is None:
            assert 32 ** len(shape) > voxels
            continue
        padded = np.prod([-(-w // 16) * 16 for w in window], dtype=float)
        assert padded <= voxels
        assert all(w == s or (w % 16 == 0 and 32 <= w < s) for w, s in zip(window, shape, strict=True))
        assert window == shape or padded * 2 > voxels / 2


def test_mirroring_averages_with_the_mirror_image():
    image, detector = noise((40, 50)), near(2, (16, 16))
    plain = scorer(detector, Scoring(), 1, 2)
    found = scorer(detector, Scoring(mirror=True), 1, 2).map(image)
    mirrored = plain.map(np.ascontiguousarray(image[..., ::-1]))[:, ::-1]
    assert np.allclose(found, (plain.map(image) + mirrored) / 2, atol=1e-7) and np.abs(found - mirrored).max() > 0.01
    windowed = scorer(detector, Scoring(mirror=True, window=(32, 32)), 1, 2)
    with pytest.raises(SynthanomError, match="multiple of 32 voxels, at least 64"):
        windowed.map(image)


def test_a_network_that_refuses_the_small_image_is_scored_whole_on_request():
    class Picky(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = torch.nn.Parameter(torch.ones(()))

        def forward(self, x):
            if x.shape[-1] != 40:
                raise RuntimeError("size mismatch")
            return x * self.gain

    detector = MultiTask(network=Picky())
    with pytest.raises(SynthanomError, match="size mismatch; score without measuring: --window whole"):
        scorer(detector, Scoring(memory=10**9), 1, 2)
    image = noise((40, 40))
    assert np.array_equal(scorer(detector, Scoring(memory=10**9, window="whole"), 1, 2).map(image), image[0])


def test_settings_are_checked():
    for settings in ({"memory": 0}, {"window": ()}, {"window": (0, 4)}):
        with pytest.raises(SynthanomError, match=r"--(memory|window) must"):
            Scoring(**settings)
    with pytest.raises(SynthanomError, match="2 sides"):
        scorer(near(2, (16, 16)), Scoring(window=(64, 64, 64)), 1, 2).map(noise((90, 90)))
    free = free_bytes("cpu")
    assert free is None or free > 10**6


PEAK = """
from pathlib import Path
import numpy as np, torch
from synthanom.detectors.memory import bytes_per_voxel
from synthanom.detectors.scoring import Scoring, scorer
from synthanom.detectors.multitask import MultiTask
from synthanom.networks.positioned import PositionedNetwork, input_channels
from synthanom.networks.unet import UNet
torch.set_num_threads(1)
inner = UNet(dims=2, in_channels=input_channels(1, 2, positions=True), base=8, resolutions=4)
detector = MultiTask(network=PositionedNetwork(inner, (16, 16)))
each = bytes_per_voxel(detector, 1, 2)
image = np.zeros((1, 768, 768), np.float32)
# not ru_maxrss: a process has its parent's to begin with
peak = lambda: 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before = peak()
scorer(detector, Scoring(), 1, 2).map(image)
print((peak() - before) / image.size / each)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_estimate_holds_for_the_resident_set_of_a_process():
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert 0.3 < float(done.stdout) < 1.0


OUT_OF_MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
)


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_memory_that_ran_out_is_said_in_one_line(error):
    class Hungry(Near):
        def forward(self, x):
            raise error

    detector = MultiTask(network=Hungry(2, 1))
    with pytest.raises(SynthanomError, match=r"20 x 30 voxels at a time.*--memory"):
        scorer(detector, Scoring(), 1, 2).map(noise((20, 30)))
