"""Panels: what is cut where, that it stands upright, that files stay small and decode."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from synthanom.errors import SynthanomError
from synthanom.pictures import Example, is_our_picture, panel
from synthanom.pictures.png import grey_png, palette_png
from synthanom.pictures.views import canonical_view, focus, planes, profile_line
from synthanom.volumes import read


def signed_permutation(order, signs, spacing=(1.0, 1.0, 1.0)):
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, (world, sign, step) in enumerate(zip(order, signs, spacing, strict=True)):
        affine[world, axis] = sign * step
    return affine


@given(order=st.permutations([0, 1, 2]), signs=st.tuples(*[st.sampled_from([-1, 1])] * 3))
@settings(max_examples=48, deadline=None)
def test_volumes_are_turned_to_right_front_up(order, signs):
    shape = (3, 4, 5)
    affine = signed_permutation(order, signs)
    z, y, x = np.indices(shape)
    world = np.einsum("ij,jzyx->izyx", affine, np.stack([x, y, z, np.ones_like(x)]))[:3]
    view = canonical_view(affine, 3)
    for axis, coordinate in ((0, world[2]), (1, world[1]), (2, world[0])):
        assert (np.diff(view.turn(coordinate), axis=axis) > 0).all()
    voxel = (1, 3, 2)
    marked = np.zeros(shape)
    marked[voxel] = 1
    assert np.argwhere(view.turn(marked)).tolist() == [list(view.point(voxel, shape))]


@pytest.mark.parametrize(
    ("x_to", "y_to", "flipped"),
    [
        ((-1, 0, 0), (0, -1, 0), ()),  # an axial DICOM image: columns to the left, rows to the back: stays
        ((1, 0, 0), (0, 1, 0), (0, 1)),  # a slice of RAS: right must come to the left, front up
        ((0, -1, 0), (0, 0, -1), ()),  # sagittal DICOM: front on the left, head up
        ((0, 1, 0), (0, 0, 1), (0, 1)),
    ],
)
def test_pictures_stand_upright(x_to, y_to, flipped):
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = x_to, y_to
    assert canonical_view(affine, 2).flipped == flipped
    assert canonical_view(None, 2).flipped == ()


def test_planes_cut_and_project_to_the_same_pixel():
    shape, voxel, spacing = (6, 8, 10), (4, 2, 7), (3.0, 2.0, 1.0)
    volume = np.zeros(shape, np.float32)
    volume[voxel] = 1
    for plane in planes(voxel, spacing):
        flat = plane.cut(volume)
        row, column = np.argwhere(flat == 1)[0]
        x, y = plane.project(voxel, shape)
        assert (x, y) == ((column + 0.5) * spacing[plane.right], (row + 0.5) * spacing[plane.down])
        assert plane.extent(shape) == (flat.shape[1] * spacing[plane.right], flat.shape[0] * spacing[plane.down])
        assert plane.distance(voxel) == 0
    coronal, sagittal, axial = planes(voxel, spacing)
    top = np.zeros(shape, np.float32)
    top[-1] = 1  # the head's end
    assert coronal.cut(top)[0].all() and sagittal.cut(top)[0].all()
    front = np.zeros(shape, np.float32)
    front[:, -1] = 1
    assert axial.cut(front)[0].all() and sagittal.cut(front)[:, 0].all()
    right = np.zeros(shape, np.float32)
    right[..., -1] = 1
    assert axial.cut(right)[:, 0].all() and coronal.cut(right)[:, 0].all() and coronal.right_is_left


def test_focus_lies_on_the_larger_part_even_if_it_is_hollow():
    label = np.zeros((20, 20), np.float32)
    label[1:3, 1:3] = 1
    ring = np.hypot(*(np.indices((20, 20)) - 12))
    label[(ring > 4) & (ring < 6)] = 0.8
    found = focus(label)
    assert label[found] == np.float32(0.8)
    assert focus(np.zeros((20, 20), np.float32)) == (10, 10)


@given(
    star=st.tuples(*[st.integers(0, 9)] * 3),
    middle=st.tuples(*[st.integers(0, 9)] * 3),
    spacing=st.tuples(*[st.floats(0.5, 4)] * 3),
)
@settings(max_examples=60, deadline=None)
def test_profiles_run_from_the_centre_through_the_focus(star, middle, spacing):
    shape = (10, 10, 10)
    line = profile_line(shape, spacing, middle, star)
    mm = line.voxels * spacing
    assert (line.voxels >= 0).all() and (line.voxels <= 9).all()
    # positions are distances from the star in mm, and the focus lies on the line
    assert np.allclose(np.linalg.norm(mm - np.multiply(star, spacing), axis=1), np.abs(line.where), atol=1e-6)
    apart = np.linalg.norm(np.multiply(np.subtract(middle, star), spacing))
    steps = np.linalg.norm(mm - np.multiply(middle, spacing), axis=1)
    if apart >= min(spacing):
        assert steps.min() <= 0.51 * min(spacing) and np.isclose(line.where[steps.argmin()], apart, atol=min(spacing))
    field = np.einsum("a,azyx->zyx", [1.0, -2.0, 0.5], np.indices(shape)).astype(np.float32)
    assert np.allclose(line.sample(field), line.voxels @ [1.0, -2.0, 0.5], atol=1e-4)


def test_profile_without_a_centre_runs_along_the_last_axis():
    line = profile_line((8, 12), (1.0, 2.0), (3, 5), None)
    assert not line.starred and set(line.voxels[:, 0]) == {3.0}
    assert (line.where[0], line.where[-1]) == (-10.0, 12.0)


def example(shape=(40, 50), title="sink", **changes):
    rng = np.random.default_rng(0)
    before = rng.standard_normal((1, *shape)).astype(np.float32)
    label = np.zeros(shape, np.float32)
    label[tuple(slice(n // 3, 2 * n // 3) for n in shape)] = 1
    return Example(**{"title": title, "before": before, "after": before + label, "label": label} | changes)


def pixels(content):
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def red(content):
    r, g, b = np.moveaxis(pixels(content), -1, 0)
    return int(((r > 230) & (g < 80) & (b < 80)).sum())


def test_panel_is_deterministic_and_known_as_ours():
    content = panel([example()], "heading")
    assert content == panel([example()], "heading")
    assert is_our_picture(content[:256])
    buffer = io.BytesIO()
    Image.new("L", (4, 4)).save(buffer, format="PNG")
    assert not is_our_picture(buffer.getvalue())


@pytest.mark.parametrize("shape", [(40, 50), (20, 24, 22)])
def test_deformation_centres_are_starred(shape):
    centre = tuple(n / 2 for n in shape)
    without, starred = panel([example(shape)], ""), panel([example(shape, centres=(centre,))], "")
    assert red(starred) > red(without) + 20


def test_spacing_sets_the_aspect():
    flat = pixels(panel([example()], ""))
    tall = pixels(panel([example(spacing=(2.0, 1.0))], ""))
    assert tall.shape[1] == flat.shape[1] and tall.shape[0] > 1.5 * flat.shape[0]


def test_large_noisy_panels_stay_under_300_kb():
    content = panel([example((256, 256), f"task {i}") for i in range(5)], "noise compresses worst")
    assert 50_000 < len(content) <= 300_000


def test_only_foreground_and_anomaly_are_shown():
    shape = (60, 60)
    mask = np.zeros(shape, bool)
    mask[20:40, 25:35] = True
    label = np.zeros(shape, np.float32)
    label[22:26, 27:30] = 1
    cut = example(shape, foreground=mask, label=label, centres=((21.0, 29.0),))
    from synthanom.pictures.shown import cropped

    shown = cropped(cut)
    assert shown.label.shape == (24, 14) and shown.before.shape == (1, 24, 14)
    assert np.array_equal(shown.label, label[18:42, 23:37]) and shown.centres == ((3.0, 6.0),)


def test_bad_examples_are_refused():
    with pytest.raises(SynthanomError, match="one grid"):
        example(label=np.zeros((3, 3), np.float32))
    with pytest.raises(SynthanomError, match="at least one example"):
        panel([], "")


def test_palette_png_takes_the_nearest_colour():
    rng = np.random.default_rng(1)
    palette = rng.integers(0, 256, (40, 3), dtype=np.uint8)
    image = rng.integers(0, 256, (13, 17, 3), dtype=np.uint8)
    found = pixels(palette_png(image, palette))
    distance = ((image[:, :, None].astype(int) - palette.astype(int)) ** 2).sum(-1)
    assert (((image.astype(int) - found) ** 2).sum(-1) == distance.min(-1)).all()


def test_grey_png_keeps_sixteen_bits(tmp_path):
    values = np.linspace(0, 1, 400).reshape(16, 25)
    (tmp_path / "map.png").write_bytes(grey_png(values))
    assert np.array_equal(read(tmp_path / "map.png").image[0], np.rint(values * 65535).astype(np.float32))
