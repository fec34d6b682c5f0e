"""Imports go one way, stay light, and nothing global lies about."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = [
    "errors",
    "nearest",
    "mistyped",
    "settings_file",
    "record_locks",
    "exits",
    "run_log",
    "pace",
    "progress",
    "long_runs",
    "temporaries",
    "cluster",
    "arrays",
    "kernels",
    "drawing",
    "sample",
    "textures",
    "volumes",
    "preprocess",
    "geometry",
    "free_forms",
    "region",
    "bending",
    "regions",
    "labels",
    "tasks",
    "donors",
    "streams",
    "recipe",
    "synthesis",
    "mixture",
    "batched",
    "datasets",
    "folds",
    "manifest",
    "listed",
    "unfinished",
    "shards",
    "fold_donors",
    "donor_finding",
    "replaying",
    "joining",
    "exporting",
    "truth_set",
    "leaks",
    "description",
    "metrics",
    "pictures",
    "networks",
    "detectors",
    "training",
    "onnx_export",
    "predicting",
    "evaluation",
    "preview",
    "report",
    "completion",
    "integrations",
    "cli",
]
# the ways back, by local imports: the callable form of a task reaches synthesis, a batch of tensors its device
EXCEPTIONS = {("tasks", "synthesis"), ("synthesis", "batched")}


def imports_of(path: Path) -> list[tuple[str, bool]]:
    """(module, is local or for types only) of every import in a file."""
    tree = ast.parse(path.read_text())
    top = set()
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            top.add(node)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node not in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: imports are absolute"
            found.append((node.module, node not in top))
            if node.module == "synthanom":
                found += [(f"synthanom.{a.name}", node not in top) for a in node.names if not a.name.startswith("__")]
    return found


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_module_has_its_place():
    names = {
        p.stem if p.is_file() else p.name for p in (ROOT / "synthanom").iterdir() if p.suffix == ".py" or p.is_dir()
    }
    names -= {"__init__", "__pycache__"}
    assert names == set(ORDER)


@pytest.mark.parametrize("path", sorted((ROOT / "synthanom").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    relative = path.relative_to(ROOT / "synthanom")
    own = relative.parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for module, late in imports_of(path):
        assert not module.startswith("synthanom_builders"), f"{relative} imports the builders"
        if not module.startswith("synthanom.") or layer(module) == own:
            continue
        target = layer(module)
        if module.endswith(".gpu"):  # which imports torch
            assert late or relative.name == "gpu.py" or own == "batched", f"{relative} imports {module} at its top"
        if (own, target) in EXCEPTIONS or (own, target) == ("tasks", "labels"):
            assert late or target == "labels"
            continue
        assert target in ORDER, f"{relative} imports {module}, which has no place"
        assert ORDER.index(target) < ORDER.index(own), f"{relative} imports {module}, which lies to its right"


@pytest.mark.parametrize("path", sorted((ROOT / "synthanom").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_readers_and_h5py_stay_in_their_files(path):
    relative = path.relative_to(ROOT / "synthanom").as_posix()
    for module, _ in imports_of(path):
        name = module.split(".")[0]
        if name == "h5py":
            assert relative.startswith("shards"), relative
        if name in {"nibabel", "pydicom", "PIL"}:
            assert relative.startswith(("volumes", "preprocess")), relative
        if name == "lightning":
            assert relative.startswith(("training", "integrations")), relative
        if name == "torch" and relative.startswith("kernels") and not relative.endswith("/gpu.py"):
            raise AssertionError(f"{relative}: kernels meet torch in gpu.py only")


def run(code: str) -> str:
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert out.returncode == 0, out.stderr
    return out.stdout.strip()


def test_importing_synthanom_is_light():
    code = "import sys, synthanom; print(sorted({'torch', 'h5py', 'numba', 'scipy', 'lightning'} & set(sys.modules)))"
    assert run(code) == "[]"


def test_tasks_labels_and_builders_work_without_lightning():
    code = (
        "import sys\nsys.modules['lightning'] = None\n"
        "import synthanom.tasks, synthanom.labels, synthanom.synthesis, synthanom_builders.cli\nprint('fine')"
    )
    assert run(code) == "fine"


def test_every_public_name_is_there():
    code = "import synthanom\nfor n in synthanom.__all__: getattr(synthanom, n)\nprint(len(dir(synthanom)) > 10)"
    assert run(code) == "True"
    assert len((ROOT / "synthanom" / "__init__.py").read_text().splitlines()) <= 40


def test_no_module_has_a_name_that_says_nothing():
    for path in [*(ROOT / "synthanom").rglob("*.py"), *(ROOT / "builders").rglob("*.py")]:
        assert path.stem not in {"utils", "helpers", "common", "core", "base", "types"}, path


def test_kernel_faces_are_reached_by_attribute():
    code = (
        "import synthanom\n"
        "print(all(map(callable, (synthanom.kernels.poisson.blend, synthanom.kernels.radial_warp.warp,\n"
        "    synthanom.kernels.smooth_change.apply, synthanom.regions.Geometry, synthanom.regions.bend_factor,\n"
        "    synthanom.labels.FlippedGaussian, synthanom.networks.positions.position_channels,\n"
        "    synthanom.metrics.average_precision, synthanom.metrics.roc_auc))))"
    )
    assert run(code) == "True"


ADAPTERS = {
    "monai": ("monai", 'pip install "synthanom[monai]"'),
    "torchio": ("torchio", 'pip install "synthanom[torchio]"'),
    "lightning": ("lightning", 'pip install "lightning>=2.5"'),
}


def test_importing_the_adapters_imports_none_of_their_libraries():
    heavy = {"monai", "torchio", "lightning", "torch"}
    assert run(f"import sys, synthanom.integrations; print(sorted({heavy} & set(sys.modules)))") == "[]"
    code = f"import sys, synthanom.integrations.collate; print(sorted({heavy - {'torch'}} & set(sys.modules)))"
    assert run(code) == "[]"


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_adapter_without_its_library_says_in_one_line_what_to_install(adapter):
    library, remedy = ADAPTERS[adapter]
    code = (
        f"import sys\nsys.modules[{library!r}] = None\nfrom synthanom.errors import MissingExtra\n"
        f"try:\n    import synthanom.integrations.{adapter}\nexcept MissingExtra as error:\n    print(error)\n"
    )
    said = run(code)
    assert said.endswith(remedy) and len(said.splitlines()) == 1
