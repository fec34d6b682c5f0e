"""NIfTI and what SimpleITK reads: values, axes and affines as the libraries themselves give them; broken files."""

import gzip
import os
import struct
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest

from synthanom.errors import SynthanomError
from synthanom.volumes import Volume, read, read_mask, write_volume
from synthanom.volumes.volume import MAX_BYTES

OBLIQUE = np.array([[-2.0, 0.1, 0.3, 90.0], [0.2, 1.5, -0.4, -126.0], [-0.1, 0.5, 3.0, -72.0], [0.0, 0.0, 0.0, 1.0]])
BUNDLED = Path(nibabel.__file__).parent / "tests" / "data"


def ramp(*shape: int, dtype: str = "int16") -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = OBLIQUE) -> Path:
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def world_of_value(volume: Volume, value: float) -> np.ndarray:
    """World millimetres of the one voxel that holds a value."""
    index = np.argwhere(volume.image[0] == value)[0][::-1]
    return (volume.affine @ [*index, *[0] * (3 - len(index)), 1])[:3]


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_axes_are_reversed_and_the_affine_kept(tmp_path: Path, name: str) -> None:
    stored = ramp(5, 6, 7)
    volume = read(save(tmp_path / name, stored))
    assert volume.image.shape == (1, 7, 6, 5)
    assert volume.image.dtype == np.float32
    assert volume.image.flags.c_contiguous and not volume.image.flags.writeable
    np.testing.assert_array_equal(volume.image[0], stored.T)
    np.testing.assert_allclose(volume.affine, OBLIQUE, atol=1e-5)
    np.testing.assert_allclose(volume.spacing, np.linalg.norm(OBLIQUE[:3, :3], axis=0)[::-1], atol=1e-5)
    assert volume.kind == "volume"
    expected = OBLIQUE @ [3, 1, 4, 1]
    np.testing.assert_allclose(world_of_value(volume, stored[3, 1, 4]), expected[:3], atol=1e-4)


def test_scaling_is_applied_also_of_big_endian_files(tmp_path: Path) -> None:
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    nibabel.save(nibabel.Nifti1Image(ramp(4, 5, 6).astype(">i2"), OBLIQUE, header), tmp_path / "big.nii")
    data = bytearray((tmp_path / "big.nii").read_bytes())
    data[112:120] = struct.pack(">ff", 0.5, -100.0)  # scl_slope, scl_inter
    (tmp_path / "big.nii").write_bytes(bytes(data))
    np.testing.assert_array_equal(read(tmp_path / "big.nii").image[0], ramp(4, 5, 6).T * 0.5 - 100)


def test_trailing_axes_of_length_one_are_dropped(tmp_path: Path) -> None:
    assert read(save(tmp_path / "a.nii", ramp(5, 6, 7, 1))).image.shape == (1, 7, 6, 5)
    assert read(save(tmp_path / "b.nii", ramp(5, 6, 1, 1))).image.shape == (1, 6, 5)
    assert len(read(tmp_path / "b.nii").spacing) == 2


def test_a_header_without_codes_leaves_the_orientation_unknown(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(ramp(5, 6, 7), None)
    image.header.set_zooms((1.0, 2.0, 3.0))
    nibabel.save(image, tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    assert volume.affine is None
    assert volume.spacing == (3.0, 2.0, 1.0)


def test_freesurfer_and_analyze_files_are_read(tmp_path: Path) -> None:
    nibabel.save(nibabel.MGHImage(ramp(5, 6, 7, dtype="float32"), OBLIQUE), tmp_path / "a.mgz")
    volume = read(tmp_path / "a.mgz")
    np.testing.assert_array_equal(volume.image[0], ramp(5, 6, 7).T)
    np.testing.assert_allclose(volume.affine, nibabel.load(tmp_path / "a.mgz").affine)
    nibabel.save(nibabel.Spm2AnalyzeImage(ramp(5, 6, 7), np.diag([2.0, 3, 4, 1])), tmp_path / "b.img")
    (tmp_path / "b.mat").unlink(missing_ok=True)
    volume = read(tmp_path / "b.hdr")
    np.testing.assert_array_equal(volume.image[0], ramp(5, 6, 7).T)
    assert volume.affine is None and volume.spacing == (4.0, 3.0, 2.0)  # the header knows no orientation


def test_the_sform_wins_over_a_disagreeing_qform(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(ramp(5, 6, 7), None)
    image.set_qform(np.diag([1.0, 1, 1, 1]), code=1)
    image.set_sform(OBLIQUE, code=2)
    nibabel.save(image, tmp_path / "a.nii")
    np.testing.assert_allclose(read(tmp_path / "a.nii").affine, OBLIQUE, atol=1e-5)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (ramp(5, 6, 7, 3), r"3 volumes\); pick one with --volume, 0 to 2"),
        (ramp(5, 6, 7, 1, 3, dtype="float32"), "5D file"),
        (ramp(5, 6, 7).astype("complex64"), "complex"),
        (np.zeros((5, 6, 7), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")]), "colour"),
    ],
)
def test_what_is_no_grey_volume_is_refused(tmp_path: Path, array: np.ndarray, words: str) -> None:
    path = save(tmp_path / "odd.nii.gz", array)
    with pytest.raises(SynthanomError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_singular_affine_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", ramp(5, 6, 7))
    data = bytearray(path.read_bytes())
    data[312:328] = bytes(16)  # srow_z
    path.write_bytes(bytes(data))
    with pytest.raises(SynthanomError, match=r"a\.nii: the affine must be finite and invertible"):
        read(path)


@pytest.mark.parametrize("keep", [0, 100, 400, 2000, -9, -1])
def test_truncated_files_are_refused(tmp_path: Path, keep: int) -> None:
    rng = np.random.default_rng(0)
    for name in ("a.nii", "a.nii.gz"):
        path = save(tmp_path / name, rng.integers(0, 1000, (12, 12, 12)).astype("int16"))
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(SynthanomError, match=rf"{name}: .*cannot be read"):
            read(path)


def test_every_flipped_byte_of_compressed_voxels_is_noticed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = save(tmp_path / "a.nii.gz", rng.integers(0, 9, (12, 12, 12)).astype("uint8"))
    whole = path.read_bytes()
    for at in rng.integers(400, len(whole) - 8, 20):
        broken = bytearray(whole)
        broken[at] ^= 0x55
        path.write_bytes(bytes(broken))
        with pytest.raises(SynthanomError, match="cannot be read"):
            read(path)


def test_a_header_that_declares_too_much_is_refused_before_allocating(tmp_path: Path) -> None:
    header = nibabel.Nifti1Header()
    header.set_data_shape((30000, 30000, 30))
    header.set_data_dtype("uint8")
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    path = tmp_path / "huge.nii"
    path.write_bytes(header.binaryblock + b"\0" * 100)
    assert MAX_BYTES < 30000 * 30000 * 30 * 4
    with pytest.raises(SynthanomError, match=r"huge\.nii: the header declares .* at most 4 GiB"):
        read(path)


def test_text_under_an_image_name_is_refused(tmp_path: Path) -> None:
    for name in ("a.nii", "a.nii.gz", "a.nrrd", "a.mha", "a.hdr", "a.mgz"):
        (tmp_path / name).write_text("nothing of the kind\n" * 40)
        with pytest.raises(SynthanomError, match="cannot be read"):
            read(tmp_path / name)


def test_missing_and_unknown_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SynthanomError, match="does not exist"):
        read(tmp_path / "a.nii")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(SynthanomError, match="not recognised as an image"):
        read(tmp_path / "notes.txt")


def test_nibabels_own_files_come_as_nibabel_reads_them() -> None:
    for name in ("anatomical.nii", "standard.nii.gz"):
        image = nibabel.load(BUNDLED / name)
        volume = read(BUNDLED / name)
        np.testing.assert_array_equal(volume.image[0].T, image.get_fdata(dtype=np.float32))
        np.testing.assert_array_equal(volume.affine, image.affine)
    for name in ("example4d.nii.gz", "functional.nii", "example_nifti2.nii.gz"):
        with pytest.raises(SynthanomError, match="pick one with --volume"):
            read(BUNDLED / name)
    with pytest.raises(SynthanomError, match="Cifti2Image"):
        read(BUNDLED / "row_major.dconn.nii")


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.mhd"])
def test_itk_images_lie_where_nifti_puts_them(tmp_path: Path, name: str) -> None:
    import SimpleITK

    source = save(tmp_path / "a.nii", ramp(5, 6, 7), np.diag([-2.0, 1.5, 3.0, 1.0]))
    image = SimpleITK.ReadImage(str(source))
    SimpleITK.WriteImage(image, str(tmp_path / name))
    volume, expected = read(tmp_path / name), read(source)
    np.testing.assert_array_equal(volume.image, expected.image)
    np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-5)
    np.testing.assert_allclose(volume.spacing, expected.spacing)


def test_itk_images_of_several_components_or_axes_are_refused(tmp_path: Path) -> None:
    import SimpleITK

    vector = SimpleITK.GetImageFromArray(ramp(5, 6, 7, 2, dtype="float32"), isVector=True)
    SimpleITK.WriteImage(vector, str(tmp_path / "vector.nrrd"))
    with pytest.raises(SynthanomError, match=r"vector\.nrrd: one value per voxel"):
        read(tmp_path / "vector.nrrd")
    four = SimpleITK.GetImageFromArray(ramp(3, 5, 6, 7, dtype="float32"), isVector=False)
    SimpleITK.WriteImage(four, str(tmp_path / "four.nrrd"))
    with pytest.raises(SynthanomError, match=r"four\.nrrd: one volume is read, got a 4D image"):
        read(tmp_path / "four.nrrd")
    flat = SimpleITK.GetImageFromArray(ramp(6, 7, dtype="float32"))
    SimpleITK.WriteImage(flat, str(tmp_path / "flat.mha"))
    assert read(tmp_path / "flat.mha").image.shape == (1, 6, 7)


def test_a_header_may_not_point_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.raw").write_bytes(bytes(range(60)))
    inside = tmp_path / "raw"
    inside.mkdir()
    lines = "ObjectType = Image\nNDims = 2\nDimSize = 6 10\nElementType = MET_UCHAR\nElementDataFile = ../secret.raw\n"
    (inside / "a.mhd").write_text(lines)
    with pytest.raises(SynthanomError, match=r"pixels must lie in one file beside the header, got '\.\./secret\.raw'"):
        read(inside / "a.mhd")
    (inside / "a.nhdr").write_text("")
    (inside / "b.nrrd").write_text(
        "NRRD0004\ntype: uchar\ndimension: 2\nsizes: 6 10\nencoding: raw\ndata file: /etc/hostname\n\n"
    )
    with pytest.raises(SynthanomError, match="pixels must lie in one file"):
        read(inside / "b.nrrd")


def test_pixels_that_are_a_link_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.raw").write_bytes(bytes(range(60)))
    inside, store = tmp_path / "raw", tmp_path / "store"
    inside.mkdir()
    store.mkdir()
    lines = "ObjectType = Image\nNDims = 2\nDimSize = 6 10\nElementType = MET_UCHAR\nElementDataFile = a.raw\n"
    (inside / "a.mhd").write_text(lines)
    (inside / "a.raw").symlink_to(tmp_path / "secret.raw")
    nibabel.save(nibabel.Spm99AnalyzeImage(ramp(6, 7, 8, dtype="int16"), np.eye(4)), store / "b.hdr")
    (inside / "b.hdr").write_bytes((store / "b.hdr").read_bytes())
    (inside / "b.img").symlink_to(store / "b.img")
    for name in ("a.mhd", "b.hdr"):
        with pytest.raises(SynthanomError, match="are a link out of the folder"):
            read(inside / name)
    # a folder of links is meant so, and a link to a neighbour is no way out
    (inside / "b.hdr").unlink()
    (inside / "b.hdr").symlink_to(store / "b.hdr")
    assert read(inside / "b.hdr").image.shape == (1, 8, 7, 6)
    (inside / "a.raw").rename(inside / "old")
    (inside / "there.raw").write_bytes(bytes(range(60)))
    (inside / "a.raw").symlink_to("there.raw")
    assert read(inside / "a.mhd").image.shape == (1, 10, 6)


def test_masks_are_bool_on_the_images_axes(tmp_path: Path) -> None:
    stored = np.zeros((5, 6, 7), dtype=np.uint8)
    stored[1, 2, 3] = 4
    mask, affine = read_mask(save(tmp_path / "m.nii.gz", stored))
    assert mask.dtype == bool and mask.shape == (7, 6, 5)
    assert np.argwhere(mask).tolist() == [[3, 2, 1]]
    np.testing.assert_allclose(affine, OBLIQUE, atol=1e-5)
    bad = np.zeros((5, 6, 7), dtype=np.float32)
    bad[0, 0, 0] = np.nan
    with pytest.raises(SynthanomError, match="must not hold NaN"):
        read_mask(save(tmp_path / "n.nii", bad))


@pytest.mark.parametrize("name", ["m.nii", "m.nii.gz"])
def test_written_volumes_come_back_and_are_the_same_bytes(tmp_path: Path, name: str) -> None:
    array = np.random.default_rng(0).standard_normal((7, 6, 5)).astype(np.float32)
    write_volume(tmp_path / name, array, OBLIQUE, None)
    back = read(tmp_path / name)
    np.testing.assert_array_equal(back.image[0], array)
    np.testing.assert_allclose(back.affine, OBLIQUE, atol=1e-5)
    (tmp_path / "again").mkdir()
    write_volume(tmp_path / "again" / name, array, OBLIQUE, None)
    assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_written_volumes_keep_what_is_known_of_the_geometry(tmp_path: Path) -> None:
    array = np.ones((7, 6, 5), dtype=np.float32)
    raw = nibabel.Nifti1Image(array.T, None)
    raw.header.set_zooms((1.0, 2.0, 3.0))
    write_volume(tmp_path / "a.nii.gz", array, None, (3.0, 2.0, 1.0))
    back = read(tmp_path / "a.nii.gz")
    assert back.affine is None and back.spacing == (3.0, 2.0, 1.0)
    nibabel.save(raw, tmp_path / "raw.nii")
    # what nibabel makes up for the raw file, it makes up for the map
    np.testing.assert_array_equal(nibabel.load(tmp_path / "a.nii.gz").affine, nibabel.load(tmp_path / "raw.nii").affine)
    write_volume(tmp_path / "flat.nii", np.ones((6, 5), dtype=bool), OBLIQUE)
    flat = nibabel.load(tmp_path / "flat.nii")
    assert flat.shape == (5, 6, 1) and flat.get_data_dtype() == np.uint8
    np.testing.assert_allclose(flat.affine, OBLIQUE, atol=1e-5)


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    array = np.ones((7, 6, 5), dtype=np.float32)
    with pytest.raises(SynthanomError, match=r"cannot be written \(No such file"):
        write_volume(tmp_path / "missing" / "a.nii", array)
    with pytest.raises(SynthanomError, match=r"end the name in \.nii"):
        write_volume(tmp_path / "a.nrrd", array)
    with pytest.raises(SynthanomError, match="take one channel"):
        write_volume(tmp_path / "a.nii", array[None])
    (tmp_path / "a.nii").mkdir()
    with pytest.raises(SynthanomError, match="cannot be written"):
        write_volume(tmp_path / "a.nii", array)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.nii"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / f".a.nii.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(SynthanomError, match=r"a\.nii: cannot be written \(No space left"):
        write_volume(tmp_path / "a.nii", np.ones((70, 60, 50), dtype=np.float32))
    assert list(tmp_path.iterdir()) == []


def test_a_gzip_without_its_end_is_noticed_though_all_voxels_are_there(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", ramp(12, 12, 12))
    plain = gzip.decompress(path.read_bytes())
    broken = bytearray(gzip.compress(plain))
    broken[-5] ^= 1  # within the checksum
    path.write_bytes(bytes(broken))
    with pytest.raises(SynthanomError, match="cannot be read"):
        read(path)


def test_an_affine_that_overflows_is_refused_without_a_warning(tmp_path: Path) -> None:
    image = nibabel.Nifti2Image(np.ones((3, 4, 5), np.float32), np.diag([1e200, 1, 1, 1]))
    nibabel.save(image, tmp_path / "a.nii")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(SynthanomError, match=r"voxel sizes must be positive, got .*inf"):
            read(tmp_path / "a.nii")
