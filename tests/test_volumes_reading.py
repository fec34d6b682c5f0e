"""What is read only when asked for: one volume of several, gaps filled, colour as grey; and files by their content."""

import gzip
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from building import build, smooth
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from synthanom_builders.settings import BuildSettings
from test_volumes_dicom import bundled, dataset, enhanced, pixels, save, save_series

from synthanom.errors import SynthanomError
from synthanom.volumes import Reading, discover, read
from synthanom.volumes.reading import luminance, reading_of

FOUR = np.arange(5 * 6 * 7 * 3).reshape(5, 6, 7, 3).astype(np.int16)


def nifti(path: Path, array: np.ndarray) -> Path:
    nibabel.save(nibabel.Nifti1Image(array, np.diag([2.0, 3, 4, 1])), path)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.img", "a.nrrd"])
@pytest.mark.parametrize("volume", [0, 2])
def test_one_volume_of_a_4d_file(tmp_path: Path, name: str, volume: int) -> None:
    path = tmp_path / name
    if name.endswith(".nrrd"):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(FOUR.T, isVector=False), str(path))
    elif name.endswith(".img"):
        nibabel.save(nibabel.Nifti1Pair(FOUR, np.diag([2.0, 3, 4, 1])), path)
        path = path.with_suffix(".hdr")
    else:
        nifti(path, FOUR)
    found = read(path, Reading(volume=volume))
    np.testing.assert_array_equal(found.image[0], FOUR[..., volume].T)
    assert found.affine is not None and found.image.shape == (1, 7, 6, 5)
    with pytest.raises(SynthanomError, match=r"one volume is read, got a 4D .* pick one with --volume, 0 to 2"):
        read(path)
    with pytest.raises(SynthanomError, match="--volume must be 0 to 2, got 3"):
        read(path, Reading(volume=3))


def test_files_of_one_volume_need_no_choice(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", FOUR[..., 0])
    np.testing.assert_array_equal(read(path, Reading(volume=2)).image, read(path).image)


def test_components_of_a_5d_file_count_as_volumes(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii.gz", FOUR[:, :, :, None, :])
    np.testing.assert_array_equal(read(path, Reading(volume=1)).image[0], FOUR[..., 1].T)


def test_missing_slices_are_interpolated_when_asked_for(tmp_path: Path) -> None:
    step = np.array([0.0, 0.3, 2.5])  # a tilted gantry
    origin, _ = save_series(tmp_path / "ct", 6, step=step)
    (tmp_path / "ct" / "0-2.dcm").unlink()
    volume = read(tmp_path / "ct", Reading(allow_gaps=True))
    expected = np.stack([pixels(i).astype(np.float32) for i in range(6)])
    expected[2] = (expected[1] + expected[3]) / 2
    np.testing.assert_allclose(volume.image[0], expected, rtol=1e-5)
    lps = origin + 5 * step
    np.testing.assert_allclose((volume.affine @ [0, 0, 5, 1])[:3], lps * [-1, -1, 1], atol=1e-3)
    assert volume.spacing[0] == pytest.approx(np.linalg.norm(step), rel=1e-4)


def test_uneven_slices_are_resampled_to_the_usual_step(tmp_path: Path) -> None:
    for i, z in enumerate([0.0, 2.0, 4.0, 7.0, 9.0]):
        flat = np.full((5, 7), round(100 * z), np.uint16)
        place = {"ImagePositionPatient": [0.0, 0.0, z], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        save(tmp_path / "ct" / f"{i}.dcm", dataset(flat, PixelSpacing=[1, 1], **place))
    with pytest.raises(SynthanomError, match=r"2\.dcm to 3\.dcm 3 mm; .*--allow-gaps"):
        read(tmp_path / "ct")
    volume = read(tmp_path / "ct", Reading(allow_gaps=True))
    depth = np.arange(volume.image.shape[1]) * volume.affine[2, 2]
    assert len(depth) in (5, 6) and depth[-1] == pytest.approx(9.0)
    np.testing.assert_allclose(volume.image[0, :, 0, 0], 100 * depth, rtol=1e-5)  # linear stays linear


def test_a_stack_that_is_mostly_gap_is_refused(tmp_path: Path) -> None:
    for i, z in enumerate([0.0, 1.0, 2.0, 50.0]):
        place = {"ImagePositionPatient": [0.0, 0.0, z], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        save(tmp_path / "ct" / f"{i}.dcm", dataset(pixels(i), PixelSpacing=[1, 1], **place))
    with pytest.raises(SynthanomError, match="would make up more slices than there are"):
        read(tmp_path / "ct", Reading(allow_gaps=True))


def test_time_points_of_a_series_are_counted_by_their_instances(tmp_path: Path) -> None:
    for time, name in enumerate(("z", "a")):  # names run against the instances
        for i in range(3):
            place = {"ImagePositionPatient": [0.0, 0.0, 2.0 * i], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
            image = dataset(pixels(10 * time + i), PixelSpacing=[1, 1], InstanceNumber=1 + 3 * time + i, **place)
            save(tmp_path / "s" / f"{name}{i}.dcm", image)
    for time in (0, 1):
        expected = np.stack([pixels(10 * time + i) for i in range(3)])
        np.testing.assert_array_equal(read(tmp_path / "s", Reading(volume=time)).image[0], expected)
    with pytest.raises(SynthanomError, match=r"z0\.dcm and a0\.dcm lie at the same one.*--volume 0 to 1 takes one"):
        read(tmp_path / "s")
    (tmp_path / "s" / "a1.dcm").unlink()
    with pytest.raises(SynthanomError, match=r"lie at the same one \(2 such pairs of 5 slices\).*keep one of them"):
        read(tmp_path / "s", Reading(volume=0))


def test_frames_of_time_points_and_frames_of_different_scale(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", enhanced([0.0, 0.0, 3.0, 3.0]))
    np.testing.assert_array_equal(read(path, Reading(volume=1)).image[0], np.stack([pixels(1), pixels(3)]) * 2.0 - 5)
    image = enhanced([0.0, 3.0])
    for number, group in enumerate(image.PerFrameFunctionalGroupsSequence):
        own = Dataset()
        own.RescaleSlope, own.RescaleIntercept = number + 1, 10 * number
        group.PixelValueTransformationSequence = [own]
    expected = np.stack([pixels(0), pixels(1) * 2.0 + 10])
    np.testing.assert_array_equal(read(save(tmp_path / "b.dcm", image)).image[0], expected)


@pytest.mark.parametrize(
    "name", ["SC_rgb_small_odd.dcm", "SC_ybr_full_422_uncompressed.dcm", "examples_palette.dcm", "ExplVR_BigEnd.dcm"]
)
def test_colour_of_dicom_becomes_grey_when_asked_for(name: str) -> None:
    volume = read(bundled(name), Reading(grey=True))
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(bundled(name))
    reader.SetImageIO("GDCMImageIO")
    expected = SimpleITK.GetArrayFromImage(reader.Execute()).reshape(*volume.image.shape[1:], 3) @ (0.299, 0.587, 0.114)
    scale = 1 if "palette" not in name else np.ptp(volume.image) / np.ptp(expected)  # SimpleITK gives 8 of 16 bits
    np.testing.assert_allclose(volume.image[0], expected * scale, atol=1.5 * scale)
    with pytest.raises(SynthanomError, match=r"got colour .*--grey"):
        read(bundled(name))


def test_colour_of_other_formats_becomes_grey_when_asked_for(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (6, 7, 3)).astype(np.uint8)
    expected = colours @ np.array([0.299, 0.587, 0.114])
    Image.fromarray(colours).save(tmp_path / "a.png")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(colours, isVector=True), str(tmp_path / "a.mha"))
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    nifti(tmp_path / "a.nii.gz", np.ascontiguousarray(colours.transpose(1, 0, 2)).view(kind)[..., 0][..., None])
    for name in ("a.png", "a.mha", "a.nii.gz"):
        with pytest.raises(SynthanomError, match="--grey"):
            read(tmp_path / name)
        np.testing.assert_allclose(read(tmp_path / name, Reading(grey=True)).image[0], expected, rtol=1e-5)
    np.testing.assert_allclose(luminance(np.full((2, 3), 200, np.uint8)), 200, rtol=1e-6)


def test_exact_and_sigmoid_windows_and_tables_are_applied_to_pictures(tmp_path: Path) -> None:
    window: dict[str, Any] = {"Modality": "CR", "WindowCenter": 2000, "WindowWidth": 1000}
    exact = save(tmp_path / "a.dcm", dataset(pixels(0), VOILUTFunction="LINEAR_EXACT", **window))
    np.testing.assert_allclose(read(exact).image[0], pixels(0).clip(1500, 2500))
    bent = read(save(tmp_path / "b.dcm", dataset(pixels(0), VOILUTFunction="SIGMOID", **window))).image[0]
    np.testing.assert_allclose(bent, 1500 + 1000 / (1 + np.exp(-4 * (pixels(0) - 2000.0) / 1000)), rtol=1e-5)
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.LUTData = (np.arange(4096, dtype=np.uint16)[::-1] * 3).tobytes()
    table["LUTData"].VR = "OW"
    volume = read(save(tmp_path / "c.dcm", dataset(pixels(0), Modality="DX", VOILUTSequence=[table])))
    np.testing.assert_array_equal(volume.image[0], (4095 - pixels(0)) * 3.0)


def test_content_counts_more_than_the_name(tmp_path: Path) -> None:
    whole = nifti(tmp_path / "a.nii", FOUR[..., 0]).read_bytes()
    (tmp_path / "a.nii").unlink()
    named = {"b.dcm": whole, "c.nii": gzip.compress(whole), "d.nii.gz": whole, "e.png": whole, "f": whole}
    named["g.nii"] = Path(bundled("CT_small.dcm")).read_bytes()
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(FOUR[..., 0].T), str(tmp_path / "h.nrrd"))
    (tmp_path / "h.nrrd").rename(tmp_path / "h.mha")
    for name, data in named.items():
        (tmp_path / name).write_bytes(data)
    sources = {source.path.name: source for source in discover(tmp_path)}
    assert sorted(sources) == [*sorted(named), "h.mha"]
    for name in set(sources) - {"g.nii"}:
        np.testing.assert_array_equal(read(sources[name]).image[0], FOUR[..., 0].T)
    assert read(sources["g.nii"]).kind == "picture"
    (tmp_path / "c.nii").write_bytes(gzip.compress(whole)[:-5])
    with pytest.raises(SynthanomError, match="its voxels cannot be read"):
        read(tmp_path / "c.nii")


def test_a_directory_a_data_file_and_a_packed_file_say_what_they_are(tmp_path: Path) -> None:
    listing = Path(str(get_testdata_file("dicomdirtests/DICOMDIR", download=False)))
    with pytest.raises(SynthanomError, match=r"DICOMDIR: .* directory of images; name its folder"):
        read(listing)
    (tmp_path / "a.img").write_bytes(bytes(100))
    with pytest.raises(SynthanomError, match=r"a\.img: is a file of voxels without a header; name its header, a\.hdr"):
        read(tmp_path / "a.img")
    (tmp_path / "a.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    with pytest.raises(SynthanomError, match=r"packed \(zstd\); unpack it first"):
        read(tmp_path / "a.zst")


def test_how_images_are_read_is_stored_and_read_back() -> None:
    for reading in (Reading(), Reading(volume=0), Reading(volume=3, grey=True), Reading(allow_gaps=True)):
        assert Reading.from_dict(json.loads(json.dumps(reading.to_dict()))) == reading
        assert reading_of({"reading": reading.to_dict()}) == reading
    assert reading_of({}) == Reading() and "reading" not in BuildSettings().to_json()
    for wrong in ({"volume": "1"}, {"volume": True}, {"grey": 1}, {"other": 2}, {"volume": -1}, 5):
        with pytest.raises(SynthanomError):
            reading_of({"reading": wrong})


def test_a_build_reads_the_volume_that_it_was_asked_for(tmp_path: Path) -> None:
    from synthanom.shards import DataSet

    raw = tmp_path / "raw"
    raw.mkdir()
    shape = (14, 14, 14)
    for i in range(2):
        nifti(raw / f"s{i}.nii", np.stack([smooth(shape, i), np.flip(smooth(shape, i), 0)], axis=-1))
    options = ("--variants", 1, "--workers", 1, "--tasks", "sink", "--folds", 1)
    ran = build(raw, "--out", tmp_path / "none", *options)
    assert ran.status == 2 and "pick one with --volume, 0 to 1" in ran.error
    images = []
    for volume in (0, 1):
        out = tmp_path / f"v{volume}"
        assert build(raw, "--out", out, *options, "--volume", volume).status == 0
        with DataSet.open(out) as data:
            images.append(data.healthy(0).image)
            assert data.manifest.preprocessing["reading"] == {"volume": volume}
    np.testing.assert_allclose(images[0], images[1][..., ::-1], atol=1e-5)
    assert build(raw, "--out", tmp_path / "v1", *options, "--volume", 0).status == 2  # another plan


def test_a_model_reads_new_scans_as_its_data_set_was_read(tmp_path: Path) -> None:

    from saved_models import write_model

    from synthanom.predicting.inputs import find_scans, prepare
    from synthanom.preprocess import Pipeline
    from synthanom.training.checkpoint import read_card

    card = read_card(write_model(tmp_path / "m", shape=(16, 16, 16), channels=1))
    both = np.stack([smooth((16, 16, 16), 0), np.zeros((16, 16, 16))], axis=-1)
    (scan,) = find_scans(nifti(tmp_path / "a.nii", both), card).scans
    chosen = card.model_copy(update={"preprocessing": {**card.preprocessing, "reading": {"volume": 0}}})
    ready = prepare(scan, Pipeline.from_dict(chosen.preprocessing), chosen)
    np.testing.assert_allclose(ready.volume.image[0], both[..., 0].T, rtol=1e-5)
    with pytest.raises(SynthanomError, match="pick one with --volume"):
        prepare(scan, Pipeline.from_dict(card.preprocessing), card)


def test_a_build_turns_colour_into_grey_and_fills_gaps_when_asked(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for i in range(2):
        plane = smooth((16, 16), i).astype(np.uint8)
        Image.fromarray(np.stack([plane, plane // 2, plane], axis=-1)).save(raw / f"p{i}.png")
    options = ("--variants", 1, "--workers", 1, "--tasks", "sink", "--folds", 1)
    assert "--grey" in build(raw, "--out", tmp_path / "a", *options).error
    assert build(raw, "--out", tmp_path / "a", *options, "--grey").status == 0
    help_text = build("--help").out
    assert all(option in help_text for option in ("--volume", "--allow-gaps", "--grey"))


def test_masks_are_read_as_their_images_are(tmp_path: Path) -> None:
    from synthanom_builders.cases import Case, image_of, read_case

    nifti(tmp_path / "a.nii", FOUR)
    nifti(tmp_path / "a_mask.nii", (FOUR > 300).astype(np.uint8))
    image, mask = (image_of(source, tmp_path) for source in discover(tmp_path))
    case = Case(id="a", subject="a", images=(image,), mask=mask)
    for volume in (0, 2):
        found, marked = read_case(tmp_path, case, Reading(volume=volume))
        np.testing.assert_array_equal(marked, found.image[0] > 300)
