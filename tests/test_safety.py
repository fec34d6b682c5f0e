"""Nothing from a file is evaluated, unpacked or followed out of its folder."""

import ast
import os
import tarfile
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
from building import build, listing, smooth, write_pictures, write_volumes
from PIL import Image

from synthanom.shards import DataSet
from synthanom.volumes import discover

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "synthanom").rglob("*.py"), *(ROOT / "builders").rglob("*.py")])
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "input"}
FORBIDDEN_MODULES = {
    "subprocess", "socket", "urllib", "http", "ftplib", "requests", "zipfile", "tarfile", "shelve", "marshal", "dill",
    "cloudpickle", "joblib", "webbrowser",
}  # fmt: skip
UNPACKING = {"extract", "extractall"}
# module.attribute -> the keyword that makes it safe; None where nothing does
FORBIDDEN_ATTRIBUTES = {
    "os.system": None, "os.popen": None, "yaml.load": None, "yaml.unsafe_load": None, "yaml.full_load": None,
    "pickle.load": None, "pickle.loads": None, "shutil.unpack_archive": None, "torch.load": "weights_only",
    "np.load": "allow_pickle", "numpy.load": "allow_pickle",
}  # fmt: skip

# an .npz is a zip archive: its members are read, with their sizes checked before; none is unpacked
ALLOWED = {
    "builders/synthanom_builders/digit_formats.py": ["zipfile"],
    "synthanom/training/fit.py": ["zipfile"],  # the checksums of torch's own file, which torch does not look at
    # this program again, by a list of words and without a shell; a free port of this machine for its processes
    "synthanom/training/own_process.py": ["subprocess"],
    "synthanom/training/processes.py": ["socket", "subprocess"],
}


def faults(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
            found.append(str(node.module))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            found.append(node.func.id)
        elif isinstance(node, ast.Attribute) and node.attr in UNPACKING:
            found.append(node.attr)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in FORBIDDEN_ATTRIBUTES:
            wanted = FORBIDDEN_ATTRIBUTES[ast.unparse(node.func)]
            given = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if wanted is None or given.get(wanted) != ("True" if wanted == "weights_only" else "False"):
                found.append(ast.unparse(node.func))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_code_runs_what_it_reads(path):
    assert faults(ast.parse(path.read_text())) == ALLOWED.get(path.relative_to(ROOT).as_posix(), [])


def test_the_search_finds_what_it_is_for():
    code = """
import subprocess, os.path
from urllib.request import urlopen
eval("1"); model.eval(); re.compile("a"); yaml.safe_load(x); os.system("ls"); pickle.loads(b"")
archive.extractall(x); torch.load(p); torch.load(p, weights_only=True)
np.load(p, allow_pickle=True); np.load(p, allow_pickle=False)
"""
    assert sorted(faults(ast.parse(code))) == [
        "eval", "extractall", "np.load", "os.system", "pickle.loads", "subprocess", "torch.load", "urllib.request",
    ]  # fmt: skip


def test_archives_are_not_unpacked(tmp_path):
    raw = write_pictures(tmp_path / "raw", 6)
    before = [source.id for source in discover(raw)]
    inside = write_pictures(tmp_path / "more", 2)
    with zipfile.ZipFile(raw / "a.zip", "w") as archive:
        for file in inside.iterdir():
            archive.write(file, f"../../{file.name}")
    with tarfile.open(raw / "b.tar.gz", "w:gz") as archive:
        archive.add(inside, "c")
    with tarfile.open(raw / "scan.nii.gz", "w:gz") as archive:  # under the name of an image: read as one, and refused
        archive.add(inside, "c")
    assert [source.id for source in discover(raw)] == [*before, "scan"]
    content = listing(raw)
    ran = build(raw, "--out", tmp_path / "data", "--tasks", "sink", "--variants", 1, "--workers", 1)
    assert ran.status == 3 and "scan.nii.gz" in ran.err
    assert listing(raw) == content and sorted(p.name for p in tmp_path.iterdir()) == [
        "data", "data.log", "more", "raw",
    ]  # fmt: skip


def test_links_are_followed_inside_the_raw_data_only(tmp_path):
    raw, other = write_pictures(tmp_path / "raw", 6), write_pictures(tmp_path / "other", 2)
    (raw / "out.png").symlink_to(other / "p00.png")
    (raw / "folder").symlink_to(other)
    (raw / "loop").symlink_to(raw)
    (raw / "gone.png").symlink_to(raw / "nothing.png")
    (raw / "inside.png").symlink_to("p03.png")
    assert [source.id for source in discover(raw)] == ["inside", *(f"p{i:02}" for i in range(6))]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_file_is_passed_over(tmp_path):
    """Opening a pipe would wait for ever."""
    raw = write_pictures(tmp_path / "raw", 6)
    os.mkfifo(raw / "pipe.png")
    assert len(discover(raw)) == 6


def test_names_are_only_names(tmp_path):
    """Files called like options, formats, commands and templates; what they make lies in the output folder."""
    raw = tmp_path / "raw"
    names = ["--out", "$(touch x)", "{0}", "%s", "a;b", "'", "a..b", "{{ 7*7 }}", "__import__('os')", "~", "*", "-"]
    for k, name in enumerate(names):
        (raw / name).mkdir(parents=True)
        Image.fromarray(smooth((16, 16), k).astype(np.uint8)).save(raw / name / f"{name}.png")
    before = listing(tmp_path)
    out = tmp_path / "data"
    ran = build(raw, "--out", out, "--tasks", "sink", "--variants", 1, "--workers", 1)
    assert ran.status == 0
    assert [entry for entry in listing(tmp_path) if Path(entry[0]).is_relative_to(raw)] == before[1:]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "data.log", "raw"]
    with DataSet.open(out) as data:
        assert set(data.healthy_ids) == {f"{name}/{name}" for name in names}


def test_text_in_headers_is_only_text(tmp_path):
    raw = write_volumes(tmp_path / "raw", 4)
    for path in raw.rglob("*.nii"):
        image = nibabel.load(path)
        image.header["descrip"] = b"__import__('os').system('touch x')"
        image.header["aux_file"] = b"../../etc/passwd"
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"!!python/object/apply:os.system"))
        nibabel.save(nibabel.Nifti1Image(image.get_fdata().astype(np.float32), image.affine, image.header), path)
    ran = build(raw, "--out", tmp_path / "data", "--tasks", "sink", "--variants", 1, "--workers", 1)
    assert ran.status == 0 and sorted(p.name for p in tmp_path.iterdir()) == ["data", "data.log", "raw"]


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.system ['true']", "sink: !!python/name:os.system ''", "&a [*a]"]
)
def test_yaml_makes_no_objects(tmp_path, text):
    raw = write_pictures(tmp_path / "raw", 6)
    (tmp_path / "tasks.yaml").write_text(text)
    ran = build(raw, "--out", tmp_path / "data", "--task-config", tmp_path / "tasks.yaml")
    assert ran.status == 2 and "tasks.yaml" in ran.error and not (tmp_path / "data").exists()
