"""Position channels and the U-Net: golden arrays, parameter counts, any input size, foreign networks."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from lively import lively

from synthanom.errors import SynthanomError
from synthanom.networks.positions import channel_count, position_channels
from synthanom.networks.registry import build_network
from synthanom.networks.unet import UNet, feature_counts

GOLDEN = Path(__file__).parents[1].parent / "shared" / "golden" / "position.npz"


def test_positions_golden():
    if not GOLDEN.exists():
        pytest.skip("the golden arrays are not beside this checkout")
    with np.load(GOLDEN) as z:
        for key, shape in (("enc2", (16, 20)), ("enc3", (8, 10, 6))):
            assert np.abs(position_channels(shape) - z[f"00/{key}"]).max() <= 1e-6


@pytest.mark.parametrize("shape", [(16, 20), (8, 10, 6)])
def test_positions_by_definition(shape):
    found = position_channels(shape)
    dims = len(shape)
    assert found.shape == (channel_count(dims), *shape) and found.dtype == np.float32
    frequencies = np.random.default_rng(42).standard_normal((32, dims)) * 12
    rng = np.random.default_rng(0)
    for _ in range(20):
        at = tuple(int(rng.integers(s)) for s in shape)
        x = np.array([p / s for p, s in zip(at, shape, strict=True)])
        phase = [2 * np.pi * sum(f[i] * x[i] for i in range(dims)) for f in frequencies]
        linear = [-1 + 2 * p / (s - 1) for p, s in zip(at, shape, strict=True)]
        expected = [*linear, *np.sin(phase), *np.cos(phase)]
        assert found[(slice(None), *at)] == pytest.approx(np.array(expected), abs=1e-5)


def test_positions_need_neither_torch_nor_a_bad_shape():
    code = "import sys, synthanom.networks.positions; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(SynthanomError):
        position_channels(())


@pytest.mark.parametrize(("dims", "resolutions", "channels", "count"), [(2, 7, 67, 29_124_704), (3, 5, 68, 13_889_600)])
def test_parameter_counts_of_the_paper(dims, resolutions, channels, count):
    network = UNet(dims=dims, in_channels=channels, resolutions=resolutions)
    assert sum(p.numel() for p in network.parameters()) == count


def test_feature_counts_are_capped():
    assert feature_counts(2, 32, 7) == (32, 64, 128, 256, 512, 512, 512)
    assert feature_counts(3, 32, 5) == (32, 64, 128, 256, 320)


def test_initialisation_and_head():
    network = UNet(dims=2, in_channels=3, base=16, resolutions=3)
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert all(not c.bias.any() for c in convolutions if c.bias is not None)
    assert not network.head.weight.any(), "a random head starves the features"
    assert network.head.bias is None and network.head.kernel_size == (1, 1)
    deep = network.bottleneck[0][0].weight  # 32 -> 64 features: enough numbers to see the spread
    expected = np.sqrt(2 / (1 + 0.01**2) / (32 * 9))
    assert float(deep.detach().std()) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("shape", [(12, 17), (33, 16), (12, 13, 18), (16, 8, 12)])
def test_any_size_and_gradients_everywhere(shape):
    torch.manual_seed(0)
    network = lively(UNet(dims=len(shape), in_channels=2, base=4, resolutions=3))
    out = network(torch.randn(2, 2, *shape))
    assert out.shape == (2, 1, *shape)
    out.square().mean().backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert idle == []


def test_padding_repeats_the_border_and_changes_nothing_where_none_is_needed():
    torch.manual_seed(0)
    network = lively(UNet(dims=2, in_channels=1, base=4, resolutions=3)).eval()
    x = torch.randn(1, 1, 14, 16)
    by_hand = torch.cat([x, x[:, :, -1:], x[:, :, -1:]], dim=2)
    with torch.inference_mode():
        assert torch.equal(network(x), network(by_hand)[:, :, :14])


def test_too_small_images_are_refused():
    with pytest.raises(SynthanomError, match="fewer resolutions"):
        UNet(dims=2, in_channels=1, base=4, resolutions=5)(torch.zeros(1, 1, 16, 12))
    with pytest.raises(SynthanomError, match="at least 2 resolutions"):
        UNet(dims=2, in_channels=1, resolutions=1)


def test_registry_builds_ours_and_foreign_networks():
    ours = build_network("unet", {"base": 4, "resolutions": 2}, dims=2, in_channels=3)
    assert isinstance(ours, UNet)
    foreign = build_network("torch.nn:Conv2d", {"kernel_size": 1}, dims=2, in_channels=3, allow_import=True)
    assert isinstance(foreign, torch.nn.Conv2d) and (foreign.in_channels, foreign.out_channels) == (3, 1)


@pytest.mark.parametrize(
    ("name", "network_settings", "allow", "part"),
    [
        ("torch.nn:Conv2d", {"kernel_size": 1}, False, "foreign code"),
        ("resnet", {}, True, "package.module:Class"),
        ("no_such_package_here:Net", {}, True, "cannot be imported"),
        ("torch.nn:NoSuchNet", {}, True, "cannot be imported"),
        ("torch.nn:Conv2d", {"kernel": 1}, True, "refuses its settings"),
        ("builtins:dict", {}, True, "a class of torch modules"),
        ("unet", {"width": 3}, True, "refuses its settings"),
    ],
)
def test_registry_refuses(name, network_settings, allow, part):
    with pytest.raises(SynthanomError, match=part):
        build_network(name, network_settings, dims=2, in_channels=3, allow_import=allow)
