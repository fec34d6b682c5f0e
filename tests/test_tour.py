"""examples/tour.ipynb: committed without outputs, and executed at small size."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOUR = ROOT / "examples" / "tour.ipynb"
SMALL = "SIDE, SUBJECTS, EPOCHS = 32, 10, 2\n"


@pytest.fixture(scope="module")
def tour():
    return json.loads(TOUR.read_text(encoding="utf-8"))


def code_cells(tour):
    return [cell for cell in tour["cells"] if cell["cell_type"] == "code"]


def test_it_is_small_and_has_no_outputs(tour):
    cells = code_cells(tour)
    assert TOUR.stat().st_size < 20_000 and len(cells) >= 8
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    assert "parameters" in cells[0]["metadata"]["tags"]
    assert tour["metadata"]["kernelspec"]["name"] == "python3"


def test_its_cells_run_in_order(tour, tmp_path):
    sources = ["".join(cell["source"]) for cell in code_cells(tour)]
    sources[0] = SMALL
    code = "import matplotlib\nmatplotlib.use('agg')\n" + "\n".join(sources)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error:::synthanom", "-c", code],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same picture: True" in done.stdout and "1 maps" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tour"]


@pytest.mark.slow
def test_a_kernel_runs_it(tour, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="needs the extra `dev`")
    pytest.importorskip("ipykernel", reason="needs the extra `dev`")
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    start = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": start, "display_name": "Python 3", "language": "python"}))
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    specs = KernelSpecManager(kernel_dirs=[str(tmp_path / "kernels")], ensure_native_kernel=False)
    notebook = nbformat.reads(json.dumps(tour), as_version=4)
    next(cell for cell in notebook.cells if cell.cell_type == "code").source = SMALL
    client = nbclient.NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs),
        timeout=600,
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 4 and not [output for output in outputs if output.output_type == "error"]
