"""Small raw trees in the layouts of BIDS, nnU-Net and anomalib."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from building import smooth, write_nifti
from PIL import Image

SHAPE = (14, 14, 14)


def volume(path: Path, seed: int) -> Path:
    return write_nifti(path, smooth(SHAPE, seed))


def label(path: Path, marked: int) -> Path:
    """A label that marks as many voxels."""
    values = np.zeros(SHAPE)
    values.flat[:marked] = 2
    return write_nifti(path, values)


def picture(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(smooth((16, 16), seed).astype(np.uint8)).save(path)
    return path


def bids(root: Path, subjects: int = 4, kinds: Sequence[str] = ("T1w",)) -> Path:
    """Subjects, the first with two sessions and the second with two runs, and much that is no anatomical image."""
    for i in range(1, subjects + 1):
        subject = f"sub-{i:02}"
        sessions = [f"ses-{k}" for k in (1, 2)] if i == 1 else [""]
        for session in sessions:
            place, stem = root / subject / session / "anat", "_".join(filter(None, (subject, session)))
            for run in ("_run-1", "_run-2") if i == 2 else ("",):
                for k, kind in enumerate(kinds):
                    volume(place / f"{stem}{run}_{kind}.nii.gz", 100 * i + 10 * k + len(run + session))
            label(place / f"{stem}_{kinds[0]}_defacemask.nii.gz", 9)
        volume(root / subject / sessions[0] / "func" / f"{subject}_task-rest_bold.nii.gz", i)
        volume(root / subject / sessions[0] / "dwi" / f"{subject}_dwi.nii.gz", i)
    volume(root / "derivatives/prep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz", 1)
    label(root / "derivatives/prep/sub-01/anat/sub-01_desc-brain_mask.nii.gz", 9)
    volume(root / "sourcedata/sub-01/anat/sub-01_T1w.nii.gz", 1)
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    return root


def lesions(root: Path) -> Path:
    """Lesion masks of sub-01 (its second session), sub-02 (run 2), an empty one of sub-03, and one in another space."""
    place = root / "derivatives/lesions"
    label(place / "sub-01/ses-2/anat/sub-01_ses-2_label-lesion_mask.nii.gz", 3)
    label(place / "sub-02/anat/sub-02_run-2_space-orig_desc-lesion_mask.nii.gz", 4)
    label(place / "sub-03/anat/sub-03_label-lesion_mask.nii.gz", 0)
    label(place / "sub-04/anat/sub-04_space-MNI152NLin6Asym_label-lesion_mask.nii.gz", 5)
    return root


def nnunet(root: Path, labels: Mapping[str, int | None], tests: Mapping[str, int | None], channels: int = 2) -> Path:
    """Cases by name, with how many voxels their label marks, or None for no label."""
    for part, cases in (("Tr", labels), ("Ts", tests)):
        for i, (case, marked) in enumerate(cases.items()):
            for k in range(channels):
                volume(root / f"images{part}" / f"{case}_{k:04}.nii.gz", 1000 * len(part) + 10 * i + k)
            if marked is not None:
                label(root / f"labels{part}" / f"{case}.nii.gz", marked)
    return root


def dataset_json(root: Path, content: object) -> None:
    (root / "dataset.json").write_text(content if isinstance(content, str) else json.dumps(content))


def anomalib(root: Path, draw=picture, ending: str = ".png", mask: str = "_mask") -> Path:
    for i in range(4):
        draw(root / "train/good" / f"{i:03}{ending}", i)
    for i, name in enumerate(("good/000", "good/001", "crack/000", "crack/001", "hole/000")):
        draw(root / "test" / f"{name}{ending}", 10 + i)
    for name in ("crack/000", "hole/000"):
        draw(root / "ground_truth" / f"{name}{mask}{ending}", 20)
    return root
