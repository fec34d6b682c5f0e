"""The parts of the builder that have rules of their own: masks, subjects, the pool, the lock, the plan."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from synthanom_builders.cases import Case, Image, InputFile
from synthanom_builders.folder import NO_MASK, with_masks
from synthanom_builders.local_workers import THREADS, local_workers
from synthanom_builders.plan import difference
from synthanom_builders.subjects import with_subjects

from synthanom.errors import SynthanomError
from synthanom.unfinished.lock import NAME, locked
from synthanom.volumes.masks import split_masks


def image(path: str, extension: str = ".nii.gz") -> Image:
    return Image(id=path.removesuffix(extension), format="nifti", files=(InputFile(path=path, bytes=1, mtime_ns=2),))


def images(*paths: str) -> list[Image]:
    return [image(path) for path in paths]


def test_cases_without_a_mask_are_marked_and_masks_without_a_case_counted():
    left, masks = split_masks(images("a.nii.gz", "b.nii.gz", "c.nii.gz", "a_m.nii.gz", "x_m.nii.gz"), "*_m.nii.gz")
    cases = [Case(id=i.id, subject=i.id, images=(i,), problem="broken" if i.id == "c" else "") for i in left]
    named, unused = with_masks(cases, masks)
    assert [case.mask and case.mask.id for case in named] == ["a_m", None, None]
    assert [case.problem for case in named] == ["", NO_MASK, "broken"] and unused == 1


def test_subjects_default_to_the_usual_folder_names():
    cases = [
        Case(id=p, subject="", images=(image(p),)) for p in ("sub-01/anat/x.nii.gz", "y/sub-ab_T1.nii.gz", "z.nii.gz")
    ]
    named, _ = with_subjects(cases, None)
    assert [case.subject for case in named] == ["sub-01", "sub-ab", "z.nii.gz"]


def test_plan_differences_are_named():
    case = Case(id="a", subject="a", images=(image("a.nii.gz"),)).to_json()
    old = {"options": {"seed": 0}, "cases": [case], "donors": {}}
    assert difference(old, old) == ""
    assert difference(old, {**old, "cases": []}) == "images gone: 1, the first a"
    assert "donors were {}" in difference(old, {**old, "donors": {"name": "d"}})
    assert Case.from_json(case).to_json() == case


def seen_from_a_worker() -> dict[str, str | None]:
    blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return {**{name: os.environ.get(name) for name in THREADS}, "blocked": str(blocked)}


def squared(number: int) -> int:
    if number < 0:
        raise SynthanomError(f"{number} is negative")
    return number * number


def die() -> None:
    os._exit(9)


def test_workers_have_one_thread_and_leave_this_process_alone():
    before = dict(os.environ)
    with local_workers(1) as pool:
        ((_, seen),) = pool.run(seen_from_a_worker, [()])
    assert seen == {**dict.fromkeys(THREADS, "1"), "blocked": "True"}
    assert dict(os.environ) == before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_pool_gives_every_result_and_the_first_error():
    with local_workers(2) as pool:
        assert dict(pool.run(squared, [(i,) for i in range(30)])) == {i: i * i for i in range(30)}
        assert list(pool.run(squared, [])) == []
    with pytest.raises(SynthanomError, match="-3 is negative"), local_workers(2) as pool:
        list(pool.run(squared, [(1,), (-3,), (2,)]))
    with pytest.raises(SynthanomError, match="ended with status 9 without a word"), local_workers(1) as pool:
        list(pool.run(die, [()]))


def test_lock_is_held_by_one_process_and_free_after_its_death(tmp_path):
    other = (
        "import sys, time; from pathlib import Path; from synthanom.unfinished.lock import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", other, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(SynthanomError, match="another build"), locked(tmp_path):
        pass
    process.kill()
    process.communicate()
    assert (tmp_path / NAME).exists()
    with locked(tmp_path):
        assert (tmp_path / NAME).exists()
    assert not (tmp_path / NAME).exists()


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from synthanom_builders.cli import main; sys.argv = ['build-dataset', 'folder', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'torch', 'h5py', 'numba', 'scipy', 'SimpleITK', 'nibabel', 'lightning'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_building_needs_no_lightning_and_no_torch(tmp_path):
    code = (
        "import sys; sys.modules['lightning'] = None; sys.modules['torch'] = None\n"
        "import synthanom_builders.build, synthanom_builders.units"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
