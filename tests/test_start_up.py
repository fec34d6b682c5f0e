"""Compiled code is kept where it can be, made anew when its sources change, and never stops an import."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import read_only

ROOT = Path(__file__).parents[1]
FAR = """
from synthanom.kernels.compiled import njit
@njit(nogil=True, cache=True)
def far(x):
    return x + 1
"""
INNER = """
from synthanom.kernels.compiled import njit
from far import far
@njit(nogil=True, cache=True)
def inner(x):
    return far(x)
"""
OUTER = """
from synthanom.kernels.compiled import njit
from inner import inner
@njit(nogil=True, cache=True)
def outer(x):
    return 10 * inner(x)
"""
CODE = """
import json, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import numba, outer
    value = outer.outer(1)
from inner import inner
stats = outer.outer.stats
print(json.dumps({
    "value": value,
    "hits": sum(stats.cache_hits.values()),
    "path": stats.cache_path,
    "inner": inner.stats.cache_path,
    "warnings": [str(w.message) for w in caught],
    "config": [numba.config.CACHE_DIR, numba.config.CACHE_LOCATOR_CLASSES],
}))
"""


@pytest.fixture
def place(tmp_path):
    """A package of three compiled functions that call each other, with a home and a temporary directory."""
    made = SimpleNamespace(root=tmp_path)
    for name in ("package", "home", "temporary"):
        folder = tmp_path / name
        folder.mkdir()
        setattr(made, name, folder)
    (made.package / "far.py").write_text(FAR)
    (made.package / "inner.py").write_text(INNER)
    (made.package / "outer.py").write_text(OUTER)
    made.env = {
        "HOME": str(made.home),
        "TMPDIR": str(made.temporary),
        "PYTHONPATH": str(made.package),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return made


def start(place, protected=(), **env):
    done = read_only.run([sys.executable, "-c", CODE], protected, {**place.env, **env})
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(**json.loads(done.stdout))


def private(place):
    return place.temporary / f"synthanom-{os.geteuid()}"


def kept(folder):
    return sorted(path.suffix for path in folder.rglob("*") if path.suffix in {".nbi", ".nbc"})


def test_beside_the_source_where_that_can_be_written(place):
    first, again = start(place), start(place)
    assert (first.value, first.hits, first.warnings) == (20, 0, [])
    assert (again.value, again.hits) == (20, 1)
    assert Path(first.path) == Path(first.inner) == place.package / "__pycache__"
    assert kept(place.package) == 3 * [".nbc"] + 3 * [".nbi"]
    assert not kept(place.home) and not kept(place.temporary)


@pytest.mark.parametrize("variable", ["HOME", "XDG_CACHE_HOME"])
def test_in_the_users_cache_where_the_package_is_read_only(place, variable):
    env = {variable: str(place.home)}
    first, again = start(place, [place.package], **env), start(place, [place.package], **env)
    assert (first.value, first.hits, first.warnings) == (20, 0, [])
    assert (again.value, again.hits) == (20, 1)
    below = place.home if variable == "XDG_CACHE_HOME" else place.home / ".cache"
    assert Path(first.path).parent == below / "synthanom"
    assert not kept(place.package)


def test_in_a_private_temporary_folder_where_home_is_read_only_too(place):
    protected = [place.package, place.home]
    first, again = start(place, protected), start(place, protected)
    assert (first.value, first.hits, first.warnings) == (20, 0, [])
    assert (again.value, again.hits) == (20, 1)
    assert Path(first.path).parent == private(place)
    assert stat.S_IMODE(private(place).stat().st_mode) == 0o700


def open_to_all(folder):
    folder.mkdir()
    folder.chmod(0o777)


def a_link(folder):
    (folder.parent / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize("taken", [open_to_all, a_link, Path.touch])
def test_one_warning_where_nothing_can_be_kept(place, taken):
    taken(private(place))  # which others could write, or that is no folder: nothing may be read from there
    found = start(place, [place.package, place.home])
    assert found.value == 20 and found.hits == 0 and found.path is None
    assert len(found.warnings) == 1 and "NUMBA_CACHE_DIR" in found.warnings[0]
    assert not kept(place.root)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_a_temporary_folder_of_somebody_else_is_not_used(place):
    private(place).mkdir(mode=0o700)
    os.chown(private(place), 12345, 12345)
    found = start(place, [place.package, place.home])
    assert found.path is None and len(found.warnings) == 1


def test_a_home_that_is_not_known_is_not_made_up(place):
    del place.env["HOME"]
    command = [sys.executable, "-c", "import os; os.path.expanduser = str\n" + CODE]
    done = read_only.run(command, [place.package], place.env)
    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["path"]).parent == private(place)


def test_the_users_own_choices_come_first_and_stay(place):
    chosen = str(place.root / "chosen")
    found = start(place, NUMBA_CACHE_DIR=chosen)
    assert Path(found.path).parent == Path(chosen) and found.config == [chosen, ""]
    assert not kept(place.package)
    found = start(place, NUMBA_CACHE_LOCATOR_CLASSES="UserWideCacheLocator")
    assert found.config == ["", "UserWideCacheLocator"] and ".cache/numba" in found.path
    assert start(place).config == ["", ""]


def test_a_chosen_folder_that_cannot_be_written_is_passed_over(place):
    (place.root / "chosen").touch()
    found = start(place, NUMBA_CACHE_DIR=str(place.root / "chosen"))
    assert Path(found.path) == place.package / "__pycache__" and not found.warnings


def test_a_full_disk_is_passed_over(place):
    if not read_only.mounting_works():
        pytest.skip("needs the right to mount a small file system")
    full = place.root / "full"
    full.mkdir()
    mounted = f'mount -t tmpfs -o size=64k none {full} && head -c 60000 /dev/zero > {full}/fill && exec "$@"'
    done = read_only.run(
        ["unshare", "-m", "sh", "-c", mounted, "sh", sys.executable, "-c", CODE],
        [],
        {**place.env, "NUMBA_CACHE_DIR": str(full)},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["path"] == str(place.package / "__pycache__")


@pytest.mark.parametrize(("file", "old", "new"), [("inner.py", "far(x)", "far(x) + 1"), ("far.py", "x + 1", "x + 2")])
def test_a_change_in_a_called_file_compiles_its_callers_anew(place, file, old, new):
    assert start(place).value == 20
    source = place.package / file
    source.write_text(source.read_text().replace(old, new))
    changed, again = start(place), start(place)
    assert (changed.value, changed.hits) == (30, 0)
    assert (again.value, again.hits) == (30, 1)


def test_a_change_in_a_compiled_form_of_a_plain_function_compiles_its_callers_anew(place):
    package = place.package / "pack"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "caller.py").write_text(
        "from synthanom.kernels.compiled import njit\n"
        "from pack.plain import plain\n"
        "@njit(cache=True)\ndef caller(x):\n    return plain(x)\n"
    )
    plain = package / "plain.py"
    plain.write_text(
        "from numba.extending import overload\n"
        "def plain(x):\n    return x\n"
        "@overload(plain)\ndef compiled(x):\n    return lambda x: x + 1\n"
    )
    command = [sys.executable, "-c", "from pack.caller import caller; print(caller(1))"]
    assert read_only.run(command, [], place.env).stdout == "2\n"
    plain.write_text(plain.read_text().replace("x + 1", "x + 2"))
    assert read_only.run(command, [], place.env).stdout == "3\n"


def test_code_without_a_file_is_compiled_without_being_kept(place):
    code = "from synthanom.kernels.compiled import njit\n@njit(cache=True)\ndef f(x):\n    return x\nprint(f(3))"
    done = read_only.run([sys.executable, "-W", "ignore", "-c", code], [], place.env)
    assert done.stdout == "3\n", done.stderr


SAMPLE = """
import json, warnings
warnings.simplefilter("error")
import numpy as np, synthanom
from synthanom import tasks
warnings.simplefilter("always")
pictures = np.random.default_rng(0).standard_normal((2, 1, 48, 48), dtype=np.float32)
donors = [synthanom.Sample.from_array(pictures[1], id="donor")]
with warnings.catch_warnings(record=True) as caught:
    sums = [float(task()(pictures[0], rng=np.random.default_rng(1), donors=donors)[0].sum())
            for task in tasks.TASKS.values()]
print(json.dumps({"file": synthanom.__file__, "sums": sums, "warnings": [str(w.message) for w in caught]}))
"""


@pytest.mark.slow
def test_an_installed_package_works_wherever_its_folder_lies(tmp_path):
    pytest.importorskip("hatchling", reason="builds a wheel; needs the extra `dev`")
    folders = {name: tmp_path / name for name in ("wheels", "site", "home", "temporary")}
    for folder in folders.values():
        folder.mkdir()
    site, home = folders["site"], folders["home"]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    make = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folders["wheels"]), str(ROOT)]
    subprocess.run(make, check=True, timeout=300)
    (wheel,) = folders["wheels"].glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(wheel)], check=True, timeout=300)
    for source in (site / "synthanom").rglob("*.py"):
        text = source.read_text()
        if source.name != "compiled.py" and "from numba import njit\n" in text:
            source.write_text(text.replace("from numba import njit\n", "from synthanom.kernels.compiled import njit\n"))
    env = {"HOME": str(home), "TMPDIR": str(folders["temporary"]), "PYTHONPATH": str(site)}
    sums = []
    for protected, place in (([site], home), ([site, home], folders["temporary"]), ([], site)):
        before = kept(place)
        done = read_only.run([sys.executable, "-P", "-c", SAMPLE], protected, env)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert Path(found["file"]).is_relative_to(site) and not found["warnings"]
        assert len(kept(place)) > len(before) + 20
        sums.append(found["sums"])
    assert sums[0] == sums[1] == sums[2]


def test_everything_is_compiled_by_our_own_njit():
    pattern = re.compile(
        r"from numba import [^\n]*\b(njit|jit|vectorize|guvectorize|cfunc)\b|\bnumba\.(n?jit|\w*vectorize)\b"
    )
    found = {path.name for path in (ROOT / "synthanom").rglob("*.py") if pattern.search(path.read_text())}
    assert found == {"compiled.py"}


def test_no_kernel_is_loaded_for_many_kinds_of_arguments():
    command = [sys.executable, str(Path(__file__).parent / "dispatchers.py")]
    for _ in range(2):  # what the first run compiles includes calls between kernels, often for one constant each
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
    signatures = json.loads(done.stdout)
    assert len(signatures) > 20 and sum(map(len, signatures.values())) > 10
    assert {name: many for name, many in signatures.items() if len(many) > 2} == {}
