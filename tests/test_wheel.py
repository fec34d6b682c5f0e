"""What gets installed: the two packages, typed, whole, from wheel and sdist alike; and under which version."""

import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

import synthanom

ROOT = Path(__file__).parents[1]
PACKAGES = {"synthanom": ROOT / "synthanom", "synthanom_builders": ROOT / "builders" / "synthanom_builders"}


def test_the_version_is_written_once():
    project = (ROOT / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in project and not re.search(r"^version\s*=", project, flags=re.M)
    for folder in PACKAGES.values():
        for path in folder.rglob("*.py"):
            if path != ROOT / "synthanom" / "__init__.py":
                text = path.read_text()
                assert "__version__ =" not in text and 'version("synthanom")' not in text, path
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.M)
    assert newest and newest[1] == synthanom.__version__


def test_the_citation_is_complete():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    # what the schema of CFF 1.2.0 requires and allows of the keys that are used
    assert cited["cff-version"] == "1.2.0" and cited["type"] == "software"
    assert cited["version"] == synthanom.__version__ and cited["title"] == "synthanom"
    assert cited["license"] == "Apache-2.0" and len(set(cited["keywords"])) == len(cited["keywords"])
    allowed = {
        "cff-version",
        "message",
        "type",
        "title",
        "abstract",
        "authors",
        "version",
        "license",
        "keywords",
        "references",
    }
    assert set(cited) == allowed
    (paper,) = cited["references"]
    assert set(paper) == {"type", "title", "authors", "collection-title", "year", "doi"}
    assert paper["type"] == "conference-paper" and isinstance(paper["year"], int)
    assert re.fullmatch(r"10\.\d{4,9}/[-._;()/:A-Za-z0-9]+", paper["doi"])
    for person in (*cited["authors"], *paper["authors"]):
        assert set(person) in ({"name"}, {"family-names", "given-names"}) and all(person.values())
    assert f"doi:{paper['doi']}" in (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The sdist, the wheel, and in `again/` the wheel that the sdist builds; without the network."""
    pytest.importorskip("hatchling", reason="builds a wheel; needs the extra `dev`")
    out = tmp_path_factory.mktemp("dist")
    hatchling(ROOT, out, "sdist", "wheel")
    (archive,) = out.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(out / "source", filter="data")
    (source,) = (out / "source").iterdir()
    hatchling(source, out / "again", "wheel")
    return out


def hatchling(source: Path, out: Path, *targets: str) -> None:
    command = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "-d",
        str(out),
        *(word for t in targets for word in ("-t", t)),
    ]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def tracked(folder: Path) -> list[str]:
    """Files of a package, compiled leftovers aside."""
    return [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]


@pytest.mark.slow
def test_the_wheel_holds_both_packages_whole_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops - {t for t in tops if t.endswith(".dist-info")} == set(PACKAGES)
    assert wheel.name == f"synthanom-{synthanom.__version__}-py3-none-any.whl"
    for package, folder in PACKAGES.items():
        assert f"{package}/py.typed" in names
        missing = [
            name for name in tracked(folder) if f"{package}/{name}" not in names and not name.endswith((".nbi", ".nbc"))
        ]
        assert not missing  # templates and tables as well as code


@pytest.mark.slow
def test_the_sdist_builds_the_same_wheel(built):
    (wheel,), (again,) = built.glob("*.whl"), (built / "again").glob("*.whl")
    assert wheel.name == again.name and wheel.read_bytes() == again.read_bytes()
    (source,) = (built / "source").iterdir()
    for name in ("README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "constraints.txt", "configs", "docs", "tests"):
        assert (source / name).exists(), name
    assert not (source / ".venv").exists() and not (source / "docs" / "_build").exists()


@pytest.mark.slow
def test_it_works_in_a_clean_environment(built, tmp_path):
    """The wheel in an environment of its own, which sees today's dependencies, but not this checkout."""
    home = tmp_path / "a clean environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True, timeout=120)
    python = home / "bin" / "python"
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", "--quiet"]
    done = subprocess.run([*pip, str(wheel)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip())
    assert {p.name for p in site.iterdir()} == {*PACKAGES, f"synthanom-{synthanom.__version__}.dist-info"}
    # .pth files of that folder, such as the one of the editable installation, are not read from there
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")

    assert run(home / "bin" / "synthanom", "--version").split() == ["synthanom", synthanom.__version__]
    assert "--variants" in run(home / "bin" / "build-dataset", "folder", "--help")
    assert "--train-tasks" in run(home / "bin" / "synthanom-train", "--help")
    code = (
        "import numpy as np, synthanom, synthanom_builders, synthanom.shards, synthanom.training.config\n"
        "from synthanom import tasks\n"
        "assert synthanom.__file__.startswith({site!r}) and synthanom_builders.__file__.startswith({site!r})\n"
        "noise = np.random.default_rng(0).standard_normal((1, 32, 32)).astype(np.float32)\n"
        "image, label = tasks.SmoothIntensity()(noise, rng=np.random.default_rng(1))\n"
        "assert label.max() > 0.1 and image.shape == noise.shape\n"
        "print('fine')"
    ).format(site=str(site))
    assert run(python, "-c", code) == "fine\n"


def run(program: Path, *arguments: str) -> str:
    """What a program prints, far from this checkout and its paths."""
    environment = {"PATH": "/usr/bin:/bin", "NUMBA_DISABLE_JIT": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [str(program), *arguments], cwd="/", env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
