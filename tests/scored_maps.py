"""Small made-up maps with truth and scans, and what `synthanom predict` says of them."""

import json
from pathlib import Path

import numpy as np
from phantoms import field
from report_pages import Parsed

from synthanom.pictures.png import grey_png
from synthanom.volumes import write_picture, write_volume

VOLUME, PLANE = (9, 14, 16), (20, 24)
HOSTILE = "<script>alert(1)</script>&\"'{{ 7*7 }}"
MODEL = {"name": HOSTILE, "sha256": "0", "run": {"train_tasks": ["sink"], "number": 0}}
STORED = {"sample": 0.982, "sample_f_beta": 0.97, "pixel": 0.75}


def masks(count: int, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Every other one marks something."""
    return [(field(shape, 1, k, smooth=1.5)[0] > 1.1) & (k % 2 == 1) for k in range(count)]


def scores(count: int, shape: tuple[int, ...], gain: float = 1.0) -> list[np.ndarray]:
    found = [field(shape, 1, 40 + k, smooth=1.0)[0] + gain * mask for k, mask in enumerate(masks(count, shape))]
    return [(1 / (1 + np.exp(-values))).astype(np.float32) for values in found]


def write_maps(root: Path, *, count: int = 12, shape: tuple[int, ...] = VOLUME, thresholds: object = STORED) -> Path:
    """Folders ``maps``, ``truth``, ``images``; volumes or pictures; two images of a subject."""
    names = [f"sub-{k // 2:02d}_scan{k:02d}" for k in range(count)]
    volumes = len(shape) == 3
    extension = "nii.gz" if volumes else "png"
    for name in ("maps", "truth", "images"):
        (root / name).mkdir(parents=True)
    everything = zip(names, masks(count, shape), scores(count, shape), strict=True)
    lines = []
    for k, (name, mask, values) in enumerate(everything):
        image = field(shape, 1, 80 + k)[0] + 2 * mask
        image = (image - image.min()) / np.ptp(image)
        if volumes:
            affine = np.diag([1.0, 1.0, 2.0, 1.0])
            for folder, array in (("maps", values), ("truth", mask), ("images", image)):
                write_volume(root / folder / f"{name}.{extension}", array.astype(np.float32), affine)
        else:
            (root / "maps" / f"{name}.{extension}").write_bytes(grey_png(values))
            write_picture(root / "truth" / f"{name}.{extension}", mask.astype(np.float32))
            write_picture(root / "images" / f"{name}.{extension}", image)
        lines.append(f"{name},{values.max():.9g}\n")
    (root / "maps" / "scores.csv").write_text("id,score\n" + "".join(lines))
    about = {
        "kind": "synthanom-prediction", "format": 1, "finished": True, "thresholds": thresholds, "models": [MODEL],
        "maps": {name: f"{name}.{extension}" for name in names}, "input": HOSTILE,
    }  # fmt: skip
    (root / "maps" / "predict.json").write_text(json.dumps(about))
    return root


def rename(root: Path, old: str, new: str) -> None:
    """Call a map otherwise, and say in labels.csv what its truth is: of the others the masks tell."""
    about = json.loads((root / "maps" / "predict.json").read_text())
    about["maps"][new] = about["maps"].pop(old)
    (root / "maps" / "predict.json").write_text(json.dumps(about))
    quoted = '"' + new.replace('"', '""') + '"'
    table = root / "maps" / "scores.csv"
    table.write_text(table.read_text().replace(f"{old},", f"{quoted},"))
    (root / "labels.csv").write_text(f"id,label\n{quoted},0\n")


def reported(run, path: Path, *options: object, out: Path) -> tuple[str, Parsed]:
    """The HTML of a report that the command wrote, and the same parsed; it is sound and loads nothing."""
    status, text, err = run("report", path, "--out", out, *options)
    assert status == 0, (text, err)
    html = out.read_text(encoding="utf-8")
    page = Parsed(html)
    assert page.problems == []
    return html, page


def text_of(page: Parsed) -> str:
    """What is to be read on a page, data and code of its scripts among it, spaces alike."""
    return " ".join(" ".join(page.texts).split())
