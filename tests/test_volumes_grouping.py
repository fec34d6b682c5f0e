"""Contrasts and masks told apart by their paths: one set of rules for building and for predicting."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from saved_models import write_model
from synthanom_builders.folder import list_cases
from synthanom_builders.settings import BuildSettings

from synthanom.errors import SynthanomError
from synthanom.predicting.inputs import find_scans
from synthanom.training.checkpoint import read_card
from synthanom.volumes.contrasts import grouped, shown_contrasts
from synthanom.volumes.masks import is_mask, mask_of, split_masks


@dataclass(frozen=True)
class At:
    path: str
    extension: str = ".nii.gz"

    @property
    def id(self) -> str:
        return self.path.removesuffix(self.extension)


def images(*paths: str) -> list[At]:
    return [At(path) for path in paths]


def test_contrasts_follow_the_alternation_else_the_alphabet():
    files = images("a/x_T1.nii.gz", "a/x_T2.nii.gz", "b/x_T1.nii.gz", "b/x_T2.nii.gz")
    together = grouped(files, r"_(T2|T1)\.nii")
    assert together.contrasts == ("T2", "T1")
    assert [group.id for group in together.groups] == ["a/x", "b/x"]
    assert [i.path for i in together.groups[0].images] == ["a/x_T2.nii.gz", "a/x_T1.nii.gz"]
    assert grouped(files, r"_(T\d)\.nii").contrasts == ("T1", "T2")
    assert grouped(files, r"(x)_(?P<contrast>T2|T1)").contrasts == ("T2", "T1")


def test_contrasts_that_are_settled_keep_their_order_and_leave_others_out():
    files = images("a_T1.nii.gz", "a_T2.nii.gz", "a_T3.nii.gz", "b_T1.nii.gz", "c_T3.nii.gz")
    together = grouped(files, r"_(T\d)", ("T2", "T1"))
    assert together.contrasts == ("T2", "T1") and together.unmatched == ("a_T3.nii.gz", "c_T3.nii.gz")
    assert [(g.id, [i.path for i in g.images]) for g in together.groups] == [
        ("a", ["a_T2.nii.gz", "a_T1.nii.gz"]),
        ("b", ["b_T1.nii.gz"]),
    ]
    assert "contrast T2 is missing" in together.groups[1].problem and together.groups[0].problem == ""
    assert shown_contrasts(files, r"_(T\d)") == {"T1", "T2", "T3"}
    with pytest.raises(SynthanomError, match=r"its own .* as one of T9, got no match among 5.*--channels"):
        grouped(files, r"_(T\d)", ("T9",), option="its own pattern")


def test_contrasts_in_folders_and_ids_that_would_fall_together():
    together = grouped(images("p1/T1/im.nii.gz", "p1/T2/im.nii.gz"), r"/(T1|T2)/")
    assert [group.id for group in together.groups] == ["p1/im"]
    together = grouped(images("a_T1_.nii.gz", "a_T2_.nii.gz", "a__T1.nii.gz", "a__T2.nii.gz"), r"_(T1|T2)")
    assert len({group.id for group in together.groups}) == 2
    with pytest.raises(SynthanomError, match="same contrast of one case"):
        grouped([At("a_T1.nii.gz"), At("a_T1.nii", ".nii")], r"_(T1)\.nii")


def test_contrasts_of_every_case_are_needed():
    together = grouped(images("a_T1.nii.gz", "a_T2.nii.gz", "b_T1.nii.gz", "c.nii.gz"), r"_(T1|T2)")
    assert [group.problem != "" for group in together.groups] == [False, True]
    assert together.unmatched == ("c.nii.gz",)
    with pytest.raises(SynthanomError, match="names the contrast 'T3', which no file shows"):
        grouped(images("a_T1.nii.gz"), r"_(T1|T3)")


@pytest.mark.parametrize(
    ("pattern", "paths", "pairs"),
    [
        ("*_mask.nii.gz", ["s1.nii.gz", "s10.nii.gz", "s1_mask.nii.gz", "s10_mask.nii.gz"], {"s1": "s1", "s10": "s10"}),
        ("mask_*.nii.gz", ["s1_T1.nii.gz", "mask_s1.nii.gz"], {"s1_T1": "mask_s1"}),
        ("mask.nii.gz", ["p/T1.nii.gz", "p/T2.nii.gz", "p/mask.nii.gz"], {"p/T1": "p/mask", "p/T2": "p/mask"}),
        ("mask*", ["p/T1.nii.gz", "q/T1.nii.gz", "q/mask.nii.gz"], {"p/T1": None, "q/T1": "q/mask"}),
        ("*_mask.nii.gz", ["s_a.nii.gz", "s_mask.nii.gz", "s_a_mask.nii.gz"], {"s_a": "s_a"}),
        ("mask*", ["p/T1.nii.gz", "p/T2.nii.gz", "p/mask.nii.gz", "p/mask_T1.nii.gz"],
         {"p/T1": "p/mask_T1", "p/T2": "p/mask"}),
        ("masks/*.nii.gz", ["im/a.nii.gz", "im/ab.nii.gz", "masks/a.nii.gz"], {"im/a": "masks/a", "im/ab": None}),
    ],
)  # fmt: skip
def test_masks_belong_to_the_images_that_their_names_start(pattern, paths, pairs):
    left, masks = split_masks(images(*paths), pattern)
    assert all(is_mask(mask.path, pattern) for mask in masks.values())
    got = {image.id: mask_of(image.path, masks) for image in left}
    assert {name: mask and mask.id.removesuffix("_mask") for name, mask in got.items()} == pairs


def test_two_masks_of_one_image_are_refused():
    with pytest.raises(SynthanomError, match="would be masks of the same images"):
        split_masks(images("s1.nii.gz", "s1_mask.nii.gz", "s1__mask.nii.gz"), "*_mask.nii.gz")


def test_nothing_but_masks_or_none_at_all_is_for_the_caller_to_judge():
    assert split_masks(images("a.nii.gz"), "*_mask.nii.gz") == (images("a.nii.gz"), {})
    assert split_masks(images("a.nii.gz"), "*.nii.gz")[0] == []


@pytest.mark.parametrize("clash", [False, True])  # of ids: then all are told apart otherwise
def test_building_and_predicting_see_the_same_cases(tmp_path, clash):
    """Two series of DICOM slices, files, a mask and strangers: ids, order of channels and masks must agree."""
    raw = tmp_path / "raw"
    for number, contrast in enumerate(("T1", "T2")):
        write_series(raw / f"p0/{contrast}", 1)
        write_series(raw / "both", number)
        for case in ("p1", "p1_" if clash else "p3", "p2"):
            put(raw / f"{case}_{contrast}.nii.gz")
        put(raw / f"flat/{contrast}.nii", number)
    put(raw / "p1_mask.nii.gz")
    put(raw / "stranger.nii.gz")
    pattern, masks = r"(?:_|/)(T2|T1)(?:\.nii|$)", "*_mask.nii.gz"
    built = list_cases(raw, tmp_path / "out", BuildSettings(channels=pattern, foreground=masks))
    model = write_model(tmp_path / "m", shape=(16, 16, 16), channels=2)
    found = find_scans(raw, read_card(model), pattern, masks)
    assert [scan.id for scan in found.scans] == [case.id for case in built.cases]
    assert len(built.cases) == 5 and found.contrasts == built.contrasts == ("T2", "T1")
    for scan, case in zip(found.scans, built.cases, strict=True):
        assert [source.id for source in scan.sources] == [image.id for image in case.images]
        assert (scan.mask and scan.mask.id) == (case.mask and case.mask.id)
    assert [scan.id for scan in found.scans][1] == ("p0/*" if clash else "p0")
    assert found.unmatched == ("both#0", "both#1", "stranger.nii.gz")
    assert "left out: 3 images that --channels does not match, the first both#0" in built.notes


def put(path: Path, value: int = 0) -> None:
    import numpy as np

    from synthanom.volumes import write_volume

    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, np.full((12, 12, 12), value, np.float32))


def write_series(folder: Path, number: int) -> None:
    """Two slices."""
    import pydicom

    folder.mkdir(parents=True, exist_ok=True)
    data = pydicom.dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
    data.SeriesNumber = number
    data.SeriesInstanceUID += f".{number}"
    for k in range(2):
        data.ImagePositionPatient[2] += 5
        data.SOPInstanceUID += f".{number}"
        data.save_as(folder / f"{number}-{k}.dcm")
