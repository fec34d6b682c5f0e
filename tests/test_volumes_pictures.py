"""PNG and JPEG: full depth, grey only, broken files; writing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthanom.errors import SynthanomError
from synthanom.volumes import read, read_mask, write_picture
from synthanom.volumes.pictures import GREY_TOLERANCE

GREY = np.random.default_rng(0).integers(0, 256, (20, 30)).astype(np.uint8)


def test_grey_pictures_keep_their_values_and_axes(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    volume = read(tmp_path / "a.png")
    np.testing.assert_array_equal(volume.image, GREY[None].astype(np.float32))
    assert volume.kind == "picture"
    assert volume.affine is None and volume.spacing is None


def test_sixteen_bits_are_read_in_full_depth(tmp_path: Path) -> None:
    deep = (GREY.astype(np.uint16) * 257) ^ 3
    Image.fromarray(deep).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png").image[0], deep)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA"])
def test_colour_modes_that_hold_grey_are_read(tmp_path: Path, mode: str) -> None:
    Image.fromarray(GREY).convert(mode).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png").image[0], GREY)


def test_one_bit_pictures_are_read(tmp_path: Path) -> None:
    Image.fromarray(GREY > 128).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png").image[0], GREY > 128)


def test_colour_within_the_tolerance_of_jpeg_is_grey(tmp_path: Path) -> None:
    colours = np.repeat(GREY.clip(0, 200)[..., None], 3, axis=-1)
    colours[3, 4, 1] += GREY_TOLERANCE
    Image.fromarray(colours).save(tmp_path / "near.png")
    np.testing.assert_allclose(read(tmp_path / "near.png").image[0], colours.mean(axis=-1), atol=1e-4)
    colours[3, 4, 1] += 1
    Image.fromarray(colours).save(tmp_path / "far.png")
    with pytest.raises(SynthanomError, match=r"far\.png: .* differ by up to 3 of 255.*turn it into grey with --grey"):
        read(tmp_path / "far.png")


def test_a_grey_jpeg_saved_as_rgb_is_read(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8)
    Image.fromarray(smooth).convert("RGB").save(tmp_path / "a.jpg", quality=80)
    assert np.abs(read(tmp_path / "a.jpg").image[0] - smooth).max() < 8


def test_pictures_are_turned_as_viewers_show_them(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    Image.fromarray(GREY).save(tmp_path / "a.jpg", exif=exif, quality=100)
    assert read(tmp_path / "a.jpg").image.shape == (1, 30, 20)
    np.testing.assert_allclose(read(tmp_path / "a.jpg").image[0], np.rot90(GREY, -1), atol=6)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (Image.fromarray(np.full((9, 9, 4), 100, dtype=np.uint8), "RGBA"), "opaque"),
        (Image.fromarray(GREY).convert("CMYK"), "CMYK"),
    ],
)
def test_transparency_and_print_colours_are_refused(tmp_path: Path, picture: Image.Image, words: str) -> None:
    path = tmp_path / ("a.jpg" if picture.mode == "CMYK" else "a.png")
    picture.save(path)
    with pytest.raises(SynthanomError, match=words):
        read(path)


def test_sixteen_bit_colour_is_refused_rather_than_cut_to_eight(tmp_path: Path) -> None:
    Image.fromarray(GREY).convert("RGB").save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[24] = 16  # bit depth in the IHDR chunk
    import zlib

    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(bytes(data))
    with pytest.raises(SynthanomError, match="16-bit colour"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_truncated_pictures_are_refused(tmp_path: Path, name: str) -> None:
    Image.fromarray(GREY).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for keep in (0, 10, 40, len(whole) // 2):
        (tmp_path / name).write_bytes(whole[:keep])
        with pytest.raises(SynthanomError, match=rf"{name}: .*cannot be read"):
            read(tmp_path / name)


def test_a_picture_that_declares_too_much_is_refused(tmp_path: Path) -> None:
    import zlib

    Image.fromarray(GREY).save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(bytes(data))
    with pytest.raises(SynthanomError, match=r"a\.png"):
        read(tmp_path / "a.png")


def test_several_frames_are_refused(tmp_path: Path) -> None:
    first, second = Image.fromarray(GREY), Image.fromarray(255 - GREY)
    first.save(tmp_path / "a.png", save_all=True, append_images=[second])
    with pytest.raises(SynthanomError, match="2 frames"):
        read(tmp_path / "a.png")


def test_masks_of_pictures(tmp_path: Path) -> None:
    labels = np.zeros((20, 30), dtype=np.uint8)
    labels[4:9, 5:11] = 1
    Image.fromarray(labels).save(tmp_path / "m.png")
    mask, affine = read_mask(tmp_path / "m.png")
    np.testing.assert_array_equal(mask, labels == 1)
    assert affine is None
    # JPEG rings around edges: only what is nearer to white is meant
    Image.fromarray(labels * 255).save(tmp_path / "m.jpg", quality=60)
    ringing = np.asarray(Image.open(tmp_path / "m.jpg"))
    assert ((ringing > 0) & (labels == 0)).any()
    np.testing.assert_array_equal(read_mask(tmp_path / "m.jpg")[0], labels == 1)


def test_written_pictures_round_to_the_nearest_of_256(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 600).reshape(20, 30)
    write_picture(tmp_path / "a.png", values)
    np.testing.assert_array_equal(read(tmp_path / "a.png").image[0], np.rint(values * 255))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("a.png", np.full((9, 9), 1.1), "clip or rescale"),
        ("a.png", np.full((9, 9), np.nan), "clip or rescale"),
        ("a.png", np.zeros((1, 9, 9)), "take one plane"),
        ("a.jpg", np.zeros((9, 9)), "written as PNG"),
    ],
)
def test_what_is_no_picture_is_not_written(tmp_path: Path, name: str, array: np.ndarray, words: str) -> None:
    with pytest.raises(SynthanomError, match=words):
        write_picture(tmp_path / name, array)
    assert list(tmp_path.iterdir()) == []
