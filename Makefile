# The two commands of the README are `make demo` and `make test`; each does all its set-up by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
SMALL_KERNEL_TESTS := tests/test_kernels.py tests/test_kernels_smooth.py tests/test_kernels_median.py tests/test_kernels_object_overlap.py tests/test_kernels_gradient_noise.py tests/test_labels.py tests/test_batched_drawing.py

.PHONY: demo test test-all lint types plain tests coverage docs gallery clean bench bench-start bench-opencv bench-threads bench-metrics bench-gpu bench-scale bench-training dialects mutants

# one pip run for everything, under the tested versions: a second run could pull another torch
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,examples,dicom]"
	touch $@

demo: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python examples/demo.py --out demo

# mypy has one thread, and so have the kernels as plain Python: side by side
test: lint
	$(MAKE) --no-print-directory -j 2 --output-sync types plain
	$(MAKE) --no-print-directory tests coverage

test-all: test
	$(BIN)/python -m pytest -q -n 2 -m slow
	$(MAKE) demo

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

# the compiled kernels as plain Python, so that their lines count; compiled.py is tested in processes of its own
plain: $(READY)
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -q --cov --cov-report= $(SMALL_KERNEL_TESTS)
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -q --cov --cov-append --cov-report= tests/test_regions.py tests/test_batched.py tests/test_kernels_label_torch.py -k "good_positions or boundary or exact_count or merged or components_equal"

# many wait for processes of their own, so that two cores have room for three
tests: $(READY)
	$(BIN)/python -m pytest -q -n 3 -m "not slow" --cov --cov-append --cov-report=

coverage: $(READY)
	$(BIN)/python -m coverage report --fail-under=95 --omit="synthanom/kernels/compiled.py" --include="synthanom/kernels/*,synthanom/tasks/*,synthanom/labels/*,synthanom/synthesis.py,synthanom/recipe.py,synthanom/batched/*,synthanom/region.py,synthanom/bending.py,synthanom/regions.py,synthanom/geometry.py,synthanom/free_forms.py,synthanom/shards/*"

# docs/_build/html/index.html; nothing is fetched, and the built pages fetch nothing
docs: $(READY)
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

# docs/gallery.md and docs/gallery/, which are committed
gallery: $(READY)
	$(BIN)/python examples/gallery.py --out docs

# minutes; alone on the machine, or the figures mean little
bench: $(READY)
	$(BIN)/python benchmarks/synthesis.py --write

bench-start: $(READY)
	$(BIN)/python benchmarks/start.py

# needs OpenCV, which is no dependency: where it is missing, a line says how to get it
bench-opencv: $(READY)
	$(BIN)/python benchmarks/seamless_clone.py --write

bench-threads: $(READY)
	$(BIN)/python benchmarks/threads.py --write

# on a CUDA device where there is one; on the CPU its times say nothing about a GPU
bench-gpu: $(READY)
	$(BIN)/python benchmarks/gpu.py --write

# a build of a thousand subjects with every codec: half an hour, some GB below the temporary folder
bench-scale: $(READY)
	$(BIN)/python benchmarks/scale.py --write

# ten minutes: training steps with pictures from disk beside one fixed batch, and with options that may be faster
bench-training: $(READY)
	$(BIN)/python benchmarks/training.py --write

# scikit-learn is left out where 200 million pixels would not fit in memory
bench-metrics: $(READY)
	$(BIN)/python benchmarks/metrics.py --write

# needs the dialect folders, which are not part of the project: make dialects DIALECTS=../shared/data
DIALECTS ?= ../shared/data
dialects: $(READY)
	$(BIN)/python benchmarks/dialects.py $(DIALECTS)/dicom_dialects $(DIALECTS)/nifti_dialects --write

# minutes: 5,000 damaged copies of those files and 2,000 of series, each read or refused in a process of its own
mutants: $(READY)
	$(BIN)/python benchmarks/mutants.py $(DIALECTS)/dicom_dialects $(DIALECTS)/nifti_dialects --count 5000 --series 2000

clean:
	rm -rf $(VENV) demo dist build docs/_build .mypy_cache .ruff_cache .pytest_cache .coverage
