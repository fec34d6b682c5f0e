"""What counts as an image in a folder, under which id, in which order."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthanom.errors import SynthanomError
from synthanom.volumes import Source, discover, read, write_volume
from synthanom.volumes.discover import format_of

VOLUME = np.arange(60, dtype=np.float32).reshape(3, 4, 5)


def put(path: Path) -> Path:
    """A small image of the kind that the name asks for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith((".nii", ".nii.gz")):
        write_volume(path, VOLUME)
    else:
        Image.fromarray(VOLUME[0].astype(np.uint8)).save(path, format="PNG" if path.suffix != ".jpg" else "JPEG")
    return path


def test_files_become_sources_in_sorted_order(tmp_path: Path) -> None:
    for name in ("s2/T1.nii.gz", "s10/T1.nii", "s1/x.png", "s1/deep/y.jpg", "s1.nii.gz"):
        put(tmp_path / name)
    for name in ("s1/x.json", "table.csv", "s2/T1.bval", ".hidden.nii.gz", ".cache/a.png", "notes", "s1/Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("not an image")
    found = discover(tmp_path)
    assert [source.id for source in found] == ["s1", "s1/deep/y", "s1/x", "s10/T1", "s2/T1"]
    assert [source.format for source in found] == ["nifti", "picture", "picture", "nifti", "nifti"]
    assert found == discover(str(tmp_path))
    assert found[0] == Source(id="s1", files=(tmp_path / "s1.nii.gz",), format="nifti")
    assert [read(source).image.ndim for source in found] == [4, 3, 3, 4, 4]


def test_ids_that_would_fall_together_keep_their_extension(tmp_path: Path) -> None:
    for name in ("a.nii", "a.png", "b.png"):
        put(tmp_path / name)
    assert [source.id for source in discover(tmp_path)] == ["a.nii", "a.png", "b"]


def test_files_without_a_known_extension_go_by_their_first_bytes(tmp_path: Path) -> None:
    put(tmp_path / "a.png").rename(tmp_path / "a.scan")
    put(tmp_path / "b.nii").rename(tmp_path / "b.001")
    put(tmp_path / "c.jpg").rename(tmp_path / "c")
    (tmp_path / "d.xyz").write_bytes(b"\0" * 1000)
    (tmp_path / "e").write_bytes(b"")
    assert [(source.id, source.format) for source in discover(tmp_path)] == [
        ("a.scan", "picture"),
        ("b.001", "nifti"),
        ("c", "picture"),
    ]
    assert format_of(tmp_path / "d.xyz") is None


def test_a_header_with_its_data_file_is_one_source(tmp_path: Path) -> None:
    import nibabel
    import SimpleITK

    nibabel.save(nibabel.Nifti1Pair(VOLUME, np.eye(4)), tmp_path / "pair.img")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOLUME), str(tmp_path / "meta.mhd"))
    assert [source.id for source in discover(tmp_path)] == ["meta", "pair"]
    np.testing.assert_array_equal(read(tmp_path / "pair.hdr").image[0], VOLUME.T)


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside" / "secret.png")
    raw = tmp_path / "raw"
    put(raw / "a.png")
    (raw / "link.png").symlink_to(outside)
    (raw / "folder").symlink_to(outside.parent)
    (raw / "dangling.png").symlink_to(raw / "nothing.png")
    (raw / "same.png").symlink_to(raw / "a.png")
    assert [source.id for source in discover(raw)] == ["a", "same"]


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SynthanomError, match=r"none: a folder of images is needed, this does not exist"):
        discover(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(SynthanomError, match="is a file, not a folder"):
        discover(tmp_path / "file")
    (tmp_path / "raw").mkdir()
    with pytest.raises(SynthanomError, match="no image found among 0 files"):
        discover(tmp_path / "raw")
    (tmp_path / "raw" / "a.csv").write_text("x")
    with pytest.raises(SynthanomError, match="no image found among 1 files"):
        discover(tmp_path / "raw")


def test_a_folder_is_read_where_it_holds_one_image(tmp_path: Path) -> None:
    put(tmp_path / "a.nii")
    assert read(tmp_path).image.shape == (1, 3, 4, 5)
    put(tmp_path / "b.nii")
    with pytest.raises(SynthanomError, match=r"one image is needed, the folder holds 2 \(a, b"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["dicom_dialects", "nifti_dialects"])
def test_every_dialect_is_read_or_refused_by_name(shared_data: Path, name: str) -> None:
    sources = discover(shared_data / name)
    read_well = 0
    for source in sources:
        try:
            volume = read(source)
        except SynthanomError as error:
            assert str(shared_data) in str(error) and "\n" not in str(error)
            continue
        read_well += 1
        assert volume.image.dtype == np.float32 and volume.image.ndim in (3, 4)
        assert volume.affine is None or volume.affine.shape == (4, 4)
    assert read_well > len(sources) / 3
