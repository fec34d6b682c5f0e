"""Maps as DICOM Segmentations: the same values at the same places, referring to the series."""

import json

import numpy as np
import pydicom
import pytest
from phantoms import field
from pydicom.uid import generate_uid
from saved_models import SHOWS_INPUT, write_model
from test_predicting import xray
from test_volumes_dicom import AXIAL, OBLIQUE, dataset, save

from synthanom.errors import MissingExtra
from synthanom.predicting import predict
from synthanom.preprocess import Canonical, MinusOneOne, Pipeline
from synthanom.volumes import read

pytest.importorskip("highdicom", reason="needs the extra `dicom-out`")
SETTINGS = {"allow_import": True, "device": "cpu"}
SHAPE = (12, 14, 13)


def series(folder, orientation=AXIAL, skip=(), **elements):
    """Slices whose names do not follow their places."""
    rows, columns = np.array(orientation).reshape(2, 3)
    values = field(SHAPE)[0]
    values = ((values - values.min()) / np.ptp(values) * 4000).astype(np.uint16)
    common = {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid(), "PatientID": "p-1"}
    uid = generate_uid()
    for k in range(SHAPE[0]):
        if k in skip:
            continue
        place = np.array([-100.0, -120.0, 30.0]) + k * 2.5 * np.cross(rows, columns)
        image = dataset(
            values[k],
            ImagePositionPatient=[round(float(v), 4) for v in place],
            ImageOrientationPatient=list(orientation),
            PixelSpacing=[0.8, 0.6],
            SliceThickness=2.5,
            SeriesInstanceUID=uid,
            InstanceNumber=k + 1,
            **(common | elements),
        )
        save(folder / f"{(k * 5 + 1) % 12}-{k}.dcm", image)
    return uid


def shows_input(folder, **changes):
    return write_model(folder, pipeline=Pipeline((MinusOneOne(),)), network=SHOWS_INPUT, **changes)


def check_against_nifti(segmentation, nifti):
    """Each frame lies where its header says: on a slice of the NIfTI map, which holds the same values."""
    found, stored = pydicom.dcmread(segmentation), read(nifti)
    assert found.Modality == "SEG" and found.SegmentationType == "FRACTIONAL" and found.MaximumFractionalValue == 255
    frames = found.pixel_array.reshape(-1, found.Rows, found.Columns) / 255
    shared = found.SharedFunctionalGroupsSequence[0]
    directions = [float(v) for v in shared.PlaneOrientationSequence[0].ImageOrientationPatient]
    down, across = (float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing)
    image = stored.image[0].reshape(-1, *stored.image.shape[-2:])
    back = np.linalg.inv(stored.affine)
    seen = set()
    for frame, groups in zip(frames, found.PerFrameFunctionalGroupsSequence, strict=True):
        origin = np.array([float(v) for v in groups.PlanePositionSequence[0].ImagePositionPatient])
        for row, column in ((0, 0), (5, 2), (found.Rows - 1, found.Columns - 1)):
            lps = origin + column * across * np.array(directions[:3]) + row * down * np.array(directions[3:])
            x, y, z = (back @ [-lps[0], -lps[1], lps[2], 1])[:3]
            assert (x, y) == pytest.approx((column, row), abs=0.01)
        below = min(int(round(z, 2)), len(image) - 1)
        above, part = min(below + 1, len(image) - 1), z - below
        assert np.abs(frame - (image[below] * (1 - part) + image[above] * part)).max() <= 1 / 255
        seen.add(round(float(z), 2))
    assert len(seen) == len(frames)
    return found, seen


@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE])
def test_values_lie_where_the_nifti_map_has_them(tmp_path, orientation):
    pipeline = Pipeline((Canonical(), MinusOneOne()))  # which turns the image before the model sees it
    model = write_model(tmp_path / "m", pipeline=pipeline, shape=SHAPE, network=SHOWS_INPUT)
    uid = series(tmp_path / "raw/s", orientation)
    done = predict([model], tmp_path / "raw", tmp_path / "maps", dicom_seg=True, **SETTINGS)
    assert list(done.scores) == ["s"] and done.notes == ()
    found, seen = check_against_nifti(tmp_path / "maps/s.seg.dcm", tmp_path / "maps/s.nii.gz")
    assert seen == set(range(SHAPE[0])) and found.pixel_array.max() == 255
    assert found.ReferencedSeriesSequence[0].SeriesInstanceUID == uid and found.PatientID == "p-1"
    sources = {pydicom.dcmread(p).SOPInstanceUID for p in (tmp_path / "raw/s").iterdir()}
    assert {r.ReferencedSOPInstanceUID for r in found.ReferencedSeriesSequence[0].ReferencedInstanceSequence} == sources
    about = json.loads((tmp_path / "maps/predict.json").read_text())
    assert about["segmentations"] == {"s": "s.seg.dcm"}
    predict([model], tmp_path / "raw", tmp_path / "maps", **SETTINGS)
    assert not (tmp_path / "maps/s.seg.dcm").exists()  # not of this command: stale


def test_frames_are_made_for_the_slices_that_are_there(tmp_path):
    stored = {"preprocessing": Pipeline((MinusOneOne(),)).to_dict() | {"reading": {"allow_gaps": True}}}
    model = shows_input(tmp_path / "m", shape=SHAPE, **stored)
    series(tmp_path / "raw/s", skip=(4, 7))
    predict([model], tmp_path / "raw", tmp_path / "maps", dicom_seg=True, **SETTINGS)
    assert read(tmp_path / "maps/s.nii.gz").image.shape == (1, *SHAPE)
    _, seen = check_against_nifti(tmp_path / "maps/s.seg.dcm", tmp_path / "maps/s.nii.gz")
    assert seen == set(range(SHAPE[0])) - {4, 7}


def test_what_is_no_dicom_or_lacks_headers_is_noted_and_the_rest_goes_on(tmp_path):
    model = shows_input(tmp_path / "m", shape=SHAPE)
    series(tmp_path / "raw/good")
    series(tmp_path / "raw/bare", StudyInstanceUID="")
    image = next((tmp_path / "raw/bare").iterdir())
    for path in image.parent.iterdir():
        bare = pydicom.dcmread(path)
        del bare.StudyInstanceUID
        bare.save_as(path)
    from synthanom.volumes import write_volume

    write_volume(tmp_path / "raw/n.nii.gz", field(SHAPE)[0], np.eye(4))
    done = predict([model], tmp_path / "raw", tmp_path / "maps", dicom_seg=True, **SETTINGS)
    assert sorted(done.scores) == ["bare", "good", "n"] and done.skipped == ()
    (note,) = done.notes
    assert note.startswith("no DICOM Segmentation for 2 of 3 maps, the first ") and "StudyInstanceUID" in note
    assert sorted(p.name for p in (tmp_path / "maps").glob("*.dcm")) == ["good.seg.dcm"]


def test_one_image_is_a_segmentation_of_one_frame(tmp_path):
    model = shows_input(tmp_path / "m", shape=(16, 16))
    series(tmp_path / "raw", skip=range(1, SHAPE[0]))
    xray(tmp_path / "raw/x.png")
    done = predict([model], tmp_path / "raw", tmp_path / "maps", dicom_seg=True, **SETTINGS)
    (name,) = (n for n in done.scores if n != "x")
    check_against_nifti(tmp_path / f"maps/{name}.seg.dcm", tmp_path / f"maps/{name}.nii.gz")
    assert "only DICOM images can be referred to, this is picture" in done.notes[0]


def test_without_highdicom_nothing_is_begun(tmp_path, monkeypatch):
    model = shows_input(tmp_path / "m", shape=SHAPE)
    series(tmp_path / "raw/s")
    monkeypatch.setitem(__import__("sys").modules, "highdicom", None)
    with pytest.raises(MissingExtra, match=r'pip install "synthanom\[dicom-out\]"'):
        predict([model], tmp_path / "raw", tmp_path / "maps", dicom_seg=True, **SETTINGS)
    assert not (tmp_path / "maps").exists()
