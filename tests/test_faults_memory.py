"""Workers killed for memory, and memory that runs out in them: one line that says so, and what is finished is kept."""

import sys

import h5py
import pytest
from faulty import ONE_WORKER, Strike, Way, ended, started
from synthanom_builders.local_workers import how_it_ended
from verdicts import finished, judged, one_line, some

from synthanom.shards.writer import check_filters

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
LISTED = "^read p05.png"  # in the process that the person started; all later steps are a worker's
STAGES = ("^read p0[67].png", "^mkdir healthy", "^create healthy", "^create anomalies", "^write .units/sink")
AT = {STAGES[0]: 3}  # the first two are the listing's
FEW = ("^create anomalies",)


@pytest.mark.parametrize("step", some(STAGES, FEW))
def test_killed_worker_is_named_as_such(step, whole, tmp_path, record_property):
    scene = whole.at(tmp_path)
    way = ONE_WORKER if "sink" in step else Way()
    ran = ended(started(scene, way, Strike(do="kill this", step=step, at=AT.get(step, 1))))
    wrong = one_line(ran, "a worker process was killed (signal 9)", "memory", "--workers", "what is finished is kept")
    judged(record_property, finished("worker killed", scene, way, wrong))


@pytest.mark.parametrize("step", some(STAGES, FEW))
def test_memory_that_runs_out_in_a_unit_is_one_line(step, whole, tmp_path, record_property):
    scene = whole.at(tmp_path)
    ran = ended(started(scene, Way(), Strike(do="no memory", step=step, at=AT.get(step, 1))))
    wrong = one_line(ran, "ran out of memory while", "--workers", "--shape")
    judged(record_property, finished("memory refused", scene, Way(), wrong))


@pytest.mark.parametrize("spare", some((1 << 16, 1 << 20), ()))
@pytest.mark.parametrize("step", some((LISTED, *STAGES[:-1]), ()))
def test_worker_that_gets_no_more_memory_ends_in_one_line_or_does_without(
    step, spare, whole, tmp_path, record_property
):
    scene = whole.at(tmp_path)
    ran = ended(started(scene, Way(), Strike(do="starve", step=step, at=AT.get(step, 1), spare=spare)))
    wrong = one_line(ran, loud=True) if ran.status else []
    judged(record_property, finished("memory limited", scene, Way(), wrong))


def test_shards_are_refused_whose_chunks_could_not_be_compressed(tmp_path) -> None:
    with h5py.File(tmp_path / "short.h5", "w") as file:
        column = file.create_dataset("values", (8,), "<f4", chunks=(4,), compression="gzip", shuffle=True)
        column[...] = 0
        check_filters(column, may_skip=False)
        column.id.write_direct_chunk((4,), bytes(16), filter_mask=2)  # as HDF5 does when zlib gets no memory
        check_filters(column, may_skip=True)
        with pytest.raises(MemoryError, match="could not compress values"):
            check_filters(column, may_skip=False)


def test_how_a_worker_ended_is_told_from_those_ended_for_it() -> None:
    assert "killed (signal 9)" in how_it_ended([-15, -9, None])
    assert "signal 11 (SIGSEGV)" in how_it_ended([-15, -11])
    assert "status 1" in how_it_ended([1, -15])
    assert how_it_ended([None, 0]).startswith("ended without a word")
