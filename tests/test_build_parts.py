"""The parts of the builder that have rules of their own: contrasts, masks, subjects, the pool, the lock, the plan."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from synthanom_builders.cases import Case, Image, InputFile
from synthanom_builders.contrasts import grouped
from synthanom_builders.lock import NAME, locked
from synthanom_builders.masks import split_masks, with_masks
from synthanom_builders.plan import difference
from synthanom_builders.pool import THREADS, workers
from synthanom_builders.subjects import with_subjects

from synthanom.errors import SynthanomError


def image(path: str, extension: str = ".nii.gz") -> Image:
    return Image(id=path.removesuffix(extension), format="nifti", files=(InputFile(path=path, bytes=1, mtime_ns=2),))


def images(*paths: str) -> list[Image]:
    return [image(path) for path in paths]


def test_contrasts_follow_the_alternation_else_the_alphabet():
    files = images("a/x_T1.nii.gz", "a/x_T2.nii.gz", "b/x_T1.nii.gz", "b/x_T2.nii.gz")
    together = grouped(files, r"_(T2|T1)\.nii")
    assert together.contrasts == ("T2", "T1")
    assert [case.id for case in together.cases] == ["a/x", "b/x"]
    assert [i.path for i in together.cases[0].images] == ["a/x_T2.nii.gz", "a/x_T1.nii.gz"]
    assert grouped(files, r"_(T\d)\.nii").contrasts == ("T1", "T2")
    assert grouped(files, r"(x)_(?P<contrast>T2|T1)").contrasts == ("T2", "T1")


def test_contrasts_in_folders_and_ids_that_would_fall_together():
    together = grouped(images("p1/T1/im.nii.gz", "p1/T2/im.nii.gz"), r"/(T1|T2)/")
    assert [case.id for case in together.cases] == ["p1/im"]
    together = grouped(images("a_T1_.nii.gz", "a_T2_.nii.gz", "a__T1.nii.gz", "a__T2.nii.gz"), r"_(T1|T2)")
    assert len({case.id for case in together.cases}) == 2
    with pytest.raises(SynthanomError, match="same contrast of one case"):
        grouped([image("a_T1.nii.gz"), image("a_T1.nii", ".nii")], r"_(T1)\.nii")


def test_contrasts_of_every_case_are_needed():
    together = grouped(images("a_T1.nii.gz", "a_T2.nii.gz", "b_T1.nii.gz", "c.nii.gz"), r"_(T1|T2)")
    assert [case.problem != "" for case in together.cases] == [False, True]
    assert together.unmatched == ("c.nii.gz",)


@pytest.mark.parametrize(
    ("pattern", "paths", "pairs"),
    [
        ("*_mask.nii.gz", ["s1.nii.gz", "s10.nii.gz", "s1_mask.nii.gz", "s10_mask.nii.gz"], {"s1": "s1", "s10": "s10"}),
        ("mask_*.nii.gz", ["s1_T1.nii.gz", "mask_s1.nii.gz"], {"s1_T1": "mask_s1"}),
        ("mask.nii.gz", ["p/T1.nii.gz", "p/T2.nii.gz", "p/mask.nii.gz"], {"p/T1": "p/mask", "p/T2": "p/mask"}),
        ("mask*", ["p/T1.nii.gz", "q/T1.nii.gz", "q/mask.nii.gz"], {"p/T1": None, "q/T1": "q/mask"}),
        ("masks/*.nii.gz", ["im/a.nii.gz", "im/ab.nii.gz", "masks/a.nii.gz"], {"im/a": "masks/a", "im/ab": None}),
    ],
)  # fmt: skip
def test_masks_belong_to_the_images_that_their_names_start(pattern, paths, pairs):
    left, masks = split_masks(images(*paths), pattern)
    cases, _ = with_masks([Case(id=i.id, subject=i.id, images=(i,)) for i in left], masks)
    got = {case.id: None if case.mask is None else case.mask.id for case in cases}
    assert {name: mask and mask.removesuffix("_mask") for name, mask in got.items()} == pairs
    assert all(bool(case.problem) == (case.mask is None) for case in cases)


def test_two_masks_of_one_image_are_refused():
    with pytest.raises(SynthanomError, match="would be masks of the same images"):
        split_masks(images("s1.nii.gz", "s1_mask.nii.gz", "s1__mask.nii.gz"), "*_mask.nii.gz")


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
    with workers(1) as pool:
        ((_, seen),) = pool.run(seen_from_a_worker, [()])
    assert seen == {**dict.fromkeys(THREADS, "1"), "blocked": "True"}
    assert dict(os.environ) == before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_pool_gives_every_result_and_the_first_error():
    with workers(2) as pool:
        assert dict(pool.run(squared, [(i,) for i in range(30)])) == {i: i * i for i in range(30)}
        assert list(pool.run(squared, [])) == []
    with pytest.raises(SynthanomError, match="-3 is negative"), workers(2) as pool:
        list(pool.run(squared, [(1,), (-3,), (2,)]))
    with pytest.raises(SynthanomError, match="killed for lack of memory"), workers(1) as pool:
        list(pool.run(die, [()]))


def test_lock_is_held_by_one_process_and_free_after_its_death(tmp_path):
    other = (
        "import sys, time; from pathlib import Path; from synthanom_builders.lock import locked\n"
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
