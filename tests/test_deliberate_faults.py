"""Break the code on purpose, one line at a time, and see a test fail: a test that cannot fail proves nothing.

Each fault goes into a copy of the package; the named tests are run against the copy and must fail.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# file, the line as it is, the fault, the tests that must notice
FAULTS = [
    ("kernels/region_mask/cpu.py", "ox * ox <= 1.0", "ox * ox < 0.9", "test_regions.py -k mask_equals"),
    (
        "kernels/region_mask/__init__.py",
        "math.sqrt(sum(part * part",
        "math.sqrt(max(part * part",
        "test_regions.py -k half_extent",
    ),
    ("kernels/cubic_spline/cpu.py", "= t * t * t * sixth", "= t * t * sixth", "test_kernels.py -k affine"),
    ("kernels/cubic_spline/cpu.py", "RADIUS = 12", "RADIUS = 6", "test_kernels.py -k spline_crop"),
    (
        "kernels/cubic_spline/lanes.py",
        "enumerate(vectors)]\n        return",
        "enumerate(vectors[::-1])]\n        return",
        "test_kernels.py -k spline",
    ),
    (
        "kernels/affine_patch/cpu.py",
        "np.float32(limits[1, c])",
        "np.float32(limits[1, 0])",
        "test_kernels.py -k affine",
    ),
    ("kernels/affine_patch/cpu.py", "low, min(high + 1, nx)", "low, high", "test_kernels.py -k gradients_need"),
    ("kernels/radial_warp/cpu.py", "0.0)) - b", "0.0)) + b", "test_kernels.py -k warp"),
    ("kernels/radial_warp/cpu.py", "if a0 > 0.0 else down0", "if a0 < 0.0 else down0", "test_kernels.py -k warp"),
    ("kernels/radial_warp/cpu.py", "factor - 1.0, work", "factor, work", "test_kernels.py -k warp_of_a_ball"),
    ("kernels/radial_warp/powers.py", "1 / 3 + s * series", "1 / 3.01 + s * series", "test_kernels.py -k powers"),
    (
        "kernels/smooth_change/cpu.py",
        "for k in range(1, reach + 1)",
        "for k in range(1, reach - 1)",
        "test_kernels.py -k depth",
    ),
    ("kernels/smooth_change/cpu.py", "reach = math.ceil(radius) - 1", "reach = 0", "test_kernels.py -k depth"),
    (
        "kernels/smooth_change/cpu.py",
        "math.sqrt(k) / ramp, 1.0)",
        "math.sqrt(k) / ramp, 1.1)",
        "test_kernels.py -k smooth_change",
    ),
    (
        "kernels/grey_reconstruct/cpu.py",
        "_of_three(line[:n], here, line[2 * pitch :], cross)",
        "_of_three(up, here, down, cross)",
        "test_kernels.py -k close_and_fill",
    ),
    (
        "kernels/grey_reconstruct/cpu.py",
        "range(closed.size + 1)",
        "range(1)",
        "test_kernels.py -k serpentine",
    ),
    (
        "kernels/grey_reconstruct/cpu.py",
        "row + 1, start + pitch, end + pitch, LOWER_SIDE",
        "row + 1, start + pitch, end + pitch, UPPER_SIDE",
        "test_kernels.py -k mazes",
    ),
    (
        "kernels/grey_reconstruct/cpu.py",
        "row[first] >= row[first - 1]",
        "row[first] >= 0",
        "test_kernels.py -k close_and_fill",
    ),
    ("kernels/components/cpu.py", "if row % ny != 0:", "if row != 0:", "test_labels.py -k components"),
    (
        "kernels/components/cpu.py",
        "runs[a, 2] < runs[b, 3]",
        "runs[a, 2] <= runs[b, 3]",
        "test_labels.py -k components",
    ),
    ("kernels/flipped_exponential/cpu.py", "1.0 / 720.0", "1.0 / 721.0", "test_labels.py -k exponential"),
    ("kernels/poisson/cpu.py", "abs(gradient) >= abs(other)", "abs(gradient) > abs(other)", "test_kernels.py -k ties"),
    ("kernels/poisson/cpu.py", "first, end = 1, row.size - 1", "first, end = 0, row.size - 1", "test_kernels.py"),
    ("kernels/poisson/sines.py", "-4.0 * math.sin", "-3.99 * math.sin", "test_kernels.py -k poisson"),
    ("kernels/poisson/blocks.py", "args[1], loop.index)", "args[1], args[1])", "test_kernels.py -k poisson"),
    ("kernels/poisson/sines.py", "if n % 2:", "if n % 3:", "test_kernels.py -k poisson"),
    ("kernels/soft_label/cpu.py", "total[x] += abs", "total[x] -= abs", "test_labels.py -k definition"),
    (
        "kernels/soft_label/cpu.py",
        "for i in order[begin[k] : begin[k + 1]]:",
        "for i in order[begin[k] : begin[count]]:",
        "test_labels.py -k within_another",
    ),
    ("kernels/placement/cpu.py", "return (count + 1) // 2", "return count // 3", "test_regions.py -k half_in"),
    (
        "drawing.py",
        "a, b = distance / 2 - push / math.sqrt(2.0)",
        "a, b = distance / 2 - push",
        "test_regions.py -k bend",
    ),
    (
        "donors.py",
        "!= sample.subject:\n            return index",
        "!= '':\n            return index",
        "test_synthesis.py -k subject",
    ),
    (
        "synthesis.py",
        "image[place] = after",
        "image[place] = after * np.float32(0.99)",
        "test_tasks_contract.py -k change",
    ),
    ("synthesis.py", "label_box(sample.image[part]", "label_box(image[part] * 0", "test_synthesis.py -k label"),
    ("kernels/poisson/cpu.py", "channels > threshold", "channels > 1.0", "test_tasks_contract.py -k joins"),
    ("tasks/smooth_intensity.py", "self.scale / 2 +", "self.scale * 2 +", "test_synthesis.py -k distribution"),
    ("streams.py", '"synthanom", 1, seed', '"synthanom", 2, seed', "test_synthesis.py -k streams"),
    ("kernels/windows/gpu.py", "coordinate < sides[axis]", "coordinate < 10**6", "test_kernels_place_torch.py"),
    ("kernels/region_mask/gpu.py", "squares <= 1.0", "squares <= 1.01", "test_kernels_place_torch.py -k voxels"),
    ("kernels/placement/gpu.py", ".sum(dim=1) + 1) // 2", ".sum(dim=1) + 1) // 3", "test_kernels_place_torch.py"),
    ("kernels/components/gpu.py", "logical_and_(~region", "logical_or_(~region", "test_kernels_label_torch.py"),
    ("kernels/components/cpu.py", "parts[i] + found + 1", "parts[i] + 1", "test_kernels_label_torch.py"),
    (
        "kernels/grey_reconstruct/gpu.py",
        "out[rows] = values",
        "out[: len(rows)] = values",
        "test_kernels_label_torch.py",
    ),
    ("kernels/poisson/gpu.py", "count + 1).double()", "count + 2).double()", "test_kernels_blend_torch.py"),
    ("kernels/affine_patch/gpu.py", "rows + m[2] * x", "(rows + m[2] * x).float()", "test_kernels_warp_torch.py"),
    ("batched/drawing.py", "rng.random() >= repeat", "rng.random() < repeat", "test_batched_drawing.py"),
    ("batched/drawing.py", "largest_angle * (2 *", "largest_angle * (3 *", "test_batched.py -k mixed"),
    ("batched/stream_states.py", "= keys, FULL", "= keys, 0", "test_batched_drawing.py"),
    ("batched/placing.py", "size = 2 * reach + 1", "size = 2 * reach + 2", "test_batched.py"),
    ("batched/blends.py", "clamp_(min=1.0).view", "clamp_(min=2.0).view", "test_batched.py"),
    ("batched/deformations.py", "torch.where(low >= most, most", "torch.where(low >= most, least", "test_batched.py"),
    ("batched/intensities.py", "math.ceil(longest)", "math.floor(longest / 2)", "test_batched.py"),
    ("batched/canvases.py", "touched.unsqueeze(1) |", "touched.unsqueeze(1) ^", "test_batched.py -k options"),
    ("batched/applying.py", "found[:, 6] == 0", "found[:, 6] == 2", "test_batched.py"),
    ("batched/making.py", "sure & ~seen", "sure & seen", "test_batched.py"),
    ("batched/merging.py", "low[axis] >= a + n", "low[axis] > a + n", "test_batched.py -k merged"),
    ("batched/recipes.py", "range(attempts)", "range(1)", "test_batched.py -k later_chunks"),
    ("training/live_batches.py", 'f"epoch-{pick.epoch}"', '"epoch-0"', "test_training_live_batches.py"),
    ("folds.py", "place % folds", "place // folds", "test_folds.py"),
    ("manifest.py", "os.fsync(file.fileno())", "file.fileno()", "test_faults_disk.py -k order"),
    (
        "builders/synthanom_builders/units.py",
        "check_unchanged(raw, case, digest)\n    return made",
        "return made",
        "test_faults_inputs.py -k between_plan",
    ),
    (
        "unfinished/lock.py",
        "if shared else fcntl.LOCK_EX)",
        "if shared else fcntl.LOCK_SH)",
        "test_faults_together.py -k refused",
    ),
    ("donor_finding.py", "sample.sha256 == reference.sha256", "sample.id", "test_donor_finding.py -k preprocessing"),
    ("donors.py", " and not given.remade", "", "test_donor_finding.py -k rounded"),
    ("exporting/pictures.py", "stored.boxes)", "stored.boxes[:1])", "test_exporting.py -k hdf5_holds"),
    ("exporting/nifti.py", "not _holds(", "False and _holds(", "test_exporting.py -k somebody"),
    ("exporting/room.py", "room.needed - there > free", "room.needed < 0", "test_exporting.py -k fit"),
    ("exporting/folder.py", "found.get(name) != ours", "name not in found", "test_exporting.py -k of_others"),
    ("exporting/threads.py", "pool.submit(work, item)", "pool.submit(work, 0)", "test_exporting.py -k hdf5_holds"),
    ("shards/layout.py", "if kind.content:", "if not kind:", "test_shards_corruption.py -k another_one"),
    ("shards/holes.py", "not any(stored)", "not stored", "test_shards_corruption.py -k never_written"),
    ("shards/handle.py", "if length != self._length:", "if length < 0:", "test_shards_corruption.py -k is_open"),
    ("shards/check.py", "if not same:", "if same is None:", "test_shards_corruption.py -k spelling"),
    ("listed.py", "!= record.sha256", "== path", "test_shards_corruption.py -k tables"),
    ("truth_set.py", 'content.get("digest", found) != found', "not found", "test_build_brains.py -k flipped"),
    ("recipe.py", '"attempts": self.attempts', '"attempts": 1', "test_synthesis.py -k visible"),
    (
        "training/thresholds.py",
        "rate * healthy.size + 1e-9",
        "rate * healthy.size + 1",
        "test_training_calibrate.py -k smaller_cut",
    ),
    (
        "training/thresholds.py",
        "called + beta**2 * positives",
        "called + positives",
        "test_training_calibrate.py -k f_beta",
    ),
    ("training/held_out.py", "set(names[1::2])", "set(names[::2])", "test_training_calibrate.py -k halves"),
    ("training/held_out.py", "wrong * healthy,", "wrong,", "test_training_calibrate.py -k held_out"),
    ("training/calibrate.py", "int(np.argmax([", "int(np.argmin([", "test_training_run.py -k model_names"),
    ("training/summary.py", "stdev(numbers)", "mean(numbers)", "test_training_series.py -k tables_are"),
    ("training/summary.py", "run.training_tasks == 1]", "run.run == 0]", "test_training_series.py -k tables_are"),
    ("training/jobs.py", "failed.append(problem)", "yield answer", "test_training_series.py -k at_once"),
    ("training/keeper.py", "loss < self.best_loss if", "loss < math.inf if", "test_training_run.py -k later_worse"),
    (
        "training/keeper.py",
        "self.best_step >= self.patience",
        "self.best_step > 9 * self.patience",
        "test_training_run.py -k patience",
    ),
    (
        "training/culprits.py",
        'if not (p["image_finite"] and p["label_finite"])',
        'if p["image_finite"]',
        "test_training_refusals.py -k names_step",
    ),
    ("training/culprits.py", "-of-row-{pick.healthy}", "-of-row", "test_training_refusals.py -k shown_by_replay"),
    (
        "replaying.py",
        "remade=not _same_fingerprint(data), live=True",
        "remade=not _same_fingerprint(data)",
        "test_training_refusals.py -k shown_by_replay",
    ),
    (
        "training/anisotropy.py",
        "overlap / overlap.sum(axis=1, keepdims=True)",
        "overlap",
        "test_training_anisotropy.py -k averages",
    ),
    (
        "training/processes.py",
        "            if status:",
        "            if status == 1:",
        "test_training_parallel.py -k spoil",
    ),
    (
        "training/member.py",
        'for folder in asked["donors"]',
        "for folder in ()",
        "test_training_live.py -k two_processes",
    ),
    ("training/live.py", "lender_of(data, given)", "lender_of(data)", "test_training_live.py -k found_by"),
    ("training/predict.py", "maps.pop(i, None)", "pass", "test_predicting_windows.py -k runs_out"),
    ("detectors/windows.py", "bell[length - margin :] = 0.0", "bell[length:] = 0.0", "test_windows.py -k vanish"),
    ("detectors/windows.py", "len(parts) - 1 - axis", "axis", "test_windows.py -k windows_equal"),
    ("detectors/scoring.py", "found *= np.float32(0.5)", "found *= np.float32(1)", "test_windows.py -k mirroring"),
    ("detectors/scoring.py", "NO_MEMORY not in str(error)", "NO_MEMORY in str(error)", "test_windows.py -k ran_out"),
    (
        "detectors/memory.py",
        "if padded[longest] <= 2 * multiple:",
        "if padded[longest] <= multiple:",
        "test_windows.py -k largest_window",
    ),
    ("detectors/memory.py", "self.most = max(self.most, ", "self.most = max(0, ", "test_windows.py -k estimate_counts"),
    ("detectors/autoencoder.py", "error + HALF**2", "error + HALF", "test_training_detectors.py -k error_of"),
    ("predicting/within.py", "MaskArray = area & inside", "MaskArray = inside", "test_predicting_within.py -k areas"),
    (
        "predicting/within.py",
        "slice(first, end) for",
        "slice(first, end - 1) for",
        "test_predicting_within.py -k boxes_cut",
    ),
    ("predicting/filling.py", "values[~ready.inside] = 0.0", "pass", "test_predicting_within.py -k boxes_cut"),
    (
        "predicting/filling.py",
        "        made.skip(ready[i].scan, reason)\n",
        "        pass\n",
        "test_predicting_windows.py -k runs_out",
    ),
    ("metrics/pixels.py", "bins[:] = anew[bins]", "pass", "test_metrics_pixels.py -k keep_order"),
    (
        "metrics/histogram.py",
        "np.float32(score + np.float32(0))",
        "np.float32(score)",
        "test_metrics_streaming.py -k keys_are",
    ),
    (
        "metrics/regions.py",
        "weights=1 / sizes[members]",
        "weights=1.0 * sizes[members]",
        "test_metrics_cuts.py -k aupro",
    ),
    ("metrics/regions.py", "k if len(negatives) > 1 else 0", "0", "test_metrics_cuts.py -k aupro"),
    ("metrics/lesions.py", "common >= np", "common > np", "test_metrics_cuts.py -k by_hand"),
    ("metrics/cuts.py", "hit + beta**2 * self.fn", "hit + self.fn", "test_metrics_cuts.py -k figures_at"),
    (
        "metrics/cuts.py",
        "len(figures) - 1 - int(np.argmax(figures[::-1]))",
        "int(np.argmax(figures))",
        "test_metrics_cuts.py -k best",
    ),
    ("kernels/components/cpu.py", "+= by[z, y, x]", "+= by[z, y, start]", "test_labels.py -k covered"),
    (
        "evaluation/counting.py",
        "fp, fn = positive - tp, marked - tp",
        "fn, fp = positive - tp, marked - tp",
        "test_evaluation_cuts.py -k stored_cuts",
    ),
    ("evaluation/counting.py", "            done.result()", "            pass", "test_evaluation_cuts.py -k number_of"),
    (
        "evaluation/cutting.py",
        "called = (tp + fp) / total.sum()",
        "called = (tp + fn) / total.sum()",
        "test_evaluation_cuts.py -k chance",
    ),
    (
        "evaluation/setups.py",
        "values[DROPPED:-DROPPED]",
        "values[DROPPED:]",
        "test_evaluation_cuts.py -k cradl_by_hand",
    ),
    ("evaluation/setups.py", "-missing // 2", "0", "test_evaluation_cuts.py -k cradl"),
    ("evaluation/trivial.py", "(low + end - 1) / 2", "(low + end) / 2", "test_evaluation_cuts.py -k trivial_maps"),
    ("metrics/overlap.py", "Raises\n    ------", "Notes\n    -----", "test_docstrings.py -k f_beta"),
    ("tasks/deformation.py", "push : (low", "shove : (low", "test_docstrings.py -k Sink"),
    ("__init__.py", '__version__ = "0.1.0"', '__version__ = "0.1.1"', "test_wheel.py -k written_once"),
    ("nearest.py", "name.strip().lower()", "name.strip()", "test_nearest.py -k nearest_of"),
    ("settings_file.py", "mark.line + 1", "mark.line", "test_settings_files.py -k placed"),
    ("tasks/abstract.py", 'f"{path}[{place}]"', "path", "test_settings_files.py -k settings_of_tasks"),
    ("training/config.py", "key_path(problem['loc'])", "problem['loc'][-1]", "test_settings_files.py -k training"),
    ("record_locks.py", "(os.getpid() % SHARERS, 1)", "(0, SHARERS)", "test_platforms.py -k locked"),
    (
        "temporaries.py",
        'if os.name == "nt":\n        return False',
        "if False:\n        return False",
        "test_platforms.py",
    ),
    ("mixture.py", "(*self.tasks[first:], *self.tasks[:first])", "self.tasks", "test_mixture.py -k as_often"),
    (
        "mixture.py",
        "        return self\n\n    def order",
        "        return Mixture()\n\n    def order",
        "test_mixture.py -k copies",
    ),
    ("integrations/contrasts.py", "affine in others:", "affine in ():", "test_integrations_monai.py -k grids"),
    (
        "integrations/monai.py",
        "self._seed = int(self.R",
        "self._seed = int(np.random",
        "test_integrations_monai.py -k reproducible_by_its_seed",
    ),
    ("integrations/monai.py", "affine[:-1, :dims]", "affine[:-1, ::-1]", "test_integrations_monai.py -k affine"),
    (
        "integrations/torchio.py",
        ".spacing[: 2 if flat else 3]",
        ".spacing[::-1]",
        "test_integrations_torchio.py -k axes",
    ),
    (
        "integrations/torchio.py",
        "subject.add_transform(ReplayedAnomaly(**arguments), arguments)",
        "pass",
        "test_integrations_torchio.py -k history",
    ),
    (
        "integrations/torchio.py",
        "(self, p=1, **",
        "(self, p=p or 1, **",
        "test_integrations_torchio.py -k every_subject",
    ),
    (
        "integrations/torchio.py",
        "LabelMap(tensor",
        "ScalarImage(tensor",
        "test_integrations_torchio.py -k pass_through",
    ),
    (
        "integrations/collate.py",
        "return [chosen[place] for place in sorted(made.failed)]",
        "return []",
        "test_integrations_collate.py -k next_one",
    ),
    (
        "integrations/collate.py",
        "subjects=[batch.subjects[k]",
        "subjects=['x'",
        "test_integrations_collate.py -k own_subject",
    ),
    (
        "integrations/epoch_batches.py",
        "int(trainer.current_epoch)",
        "0",
        "test_integrations_lightning.py -k epochs",
    ),
    (
        "integrations/epoch_batches.py",
        "yield from self.batches()",
        "return iter(self.batches())",
        "test_integrations_lightning.py -k checkpoint",
    ),
    ("integrations/lightning.py", "rank=now.rank", "rank=0", "test_integrations_lightning.py -k processes"),
    ("integrations/lightning.py", "self.draw or f", "f", "test_integrations_lightning.py -k at_hand"),
    ("report/rendering.py", "autoescape=True", "autoescape=False", "test_report.py -k names_from_data"),
    ("report/templates/page.html", "{{ policy }}", "", "test_report.py -k sound"),
    ("report/viewer.py", "cuts.before + k + 1", "k + 1", "test_report.py -k viewers"),
    ("report/viewer.py", "if made.characters <= allowed", "if made.characters", "test_report.py -k viewers"),
    (
        "report/pipeline.py",
        "fold in run.train_folds",
        "fold in run.validation_folds",
        "test_report.py -k folds_and_runs",
    ),
    ("report/measures.py", "marked = box.labels > 0", "marked = box.labels >= 0", "test_report.py -k measures"),
    ("report/axes.py", "1 - share if self.upwards", "share if self.upwards", "test_report.py -k axes"),
    (
        "report/calling.py",
        "np.cumsum(curve.positives)",
        "np.cumsum(curve.negatives)",
        "test_report_maps.py -k scikit_learn",
    ),
    ("report/bands.py", "grid, 1e-9) - 1e-12", "grid, 1e-9) + 1e-2", "test_report_maps.py -k bands"),
    ("report/cases.py", "(-sample.scores[way]", "(sample.scores[way]", "test_report_maps.py -k cards"),
    ("report/case_pictures.py", "{x - 0.5:g}", "{x:g}", "test_report_maps.py -k outlines"),
    ("evaluation/history.py", "logged.epochs == best_epoch", "logged.epochs == 0", "test_report_runs.py -k losses"),
    ("training/threshold_curves.py", "healthy[::-1])[::-1]", "healthy)", "test_training_calibrate.py -k curves"),
    ("report/rows.py", "(2 * k + 1)", "(2 * k)", "test_report.py -k evenly"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("file", "line", "fault", "tests"), FAULTS, ids=[f"{f[0]}-{i}" for i, f in enumerate(FAULTS)])
def test_the_fault_is_noticed(tmp_path, file, line, fault, tests):
    shutil.copytree(ROOT / "synthanom", tmp_path / "synthanom", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("_build"))
    shutil.copytree(ROOT / "builders", tmp_path / "builders", ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / file if file.startswith("builders/") else tmp_path / "synthanom" / file
    text = path.read_text()
    assert text.count(line) >= 1, f"{file} no longer holds {line!r}: name another fault"
    path.write_text(text.replace(line, fault))
    name, *selection = tests.split(" ")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"tests/{name}", *selection]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{tmp_path / 'builders'}"}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert subprocess.run(
        [sys.executable, "-c", "import synthanom, synthanom_builders as b; print(synthanom.__file__, b.__file__)"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60,
    ).stdout.count(str(tmp_path)) == 2, "the copy must be the package under test"  # fmt: skip
    # 1: a test failed; negative: the fault crashed the process, which nobody overlooks either
    assert run.returncode == 1 or run.returncode < 0, f"no test noticed: {run.stdout[-500:]}"
