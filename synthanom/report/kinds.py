"""Which report a path gets.

Each kind of page has a module of its own with one function ``KIND_page(path, ...) -> Page`` and one branch here.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from synthanom.errors import SynthanomError
from synthanom.predicting.reading import NAME as PREDICTION
from synthanom.preview import is_dataset
from synthanom.progress import Track, untold
from synthanom.report.page import Page

if TYPE_CHECKING:
    from synthanom.report.asked import Asked


def page_of(path: Path, track: Track = untold, asked: "Asked | None" = None) -> Page:
    """The report about what lies at `path`.

    Parameters
    ----------
    path : Path
        The folder of a data set, of a run, of several runs, or of maps. Maps by other programs are told from scans by
        the truth that is given with them.
    track : Track
        Shows how much was read.
    asked : Asked, optional
        For maps: the truth, the scans, the run.

    Returns
    -------
    Page

    Raises
    ------
    SynthanomError
        If it is nothing that there is a report for, or is unfinished or damaged.
    """
    from synthanom.report.asked import Asked, check_only_maps
    from synthanom.training.folder import FOLDS
    from synthanom.training.summary import run_places

    asked = asked or Asked()
    if (path / PREDICTION).is_file():  # before data sets: skipped.csv lies beside it too
        from synthanom.report.maps import maps_page

        return maps_page(path, asked, track)
    if is_dataset(path):
        from synthanom.report.data_set import data_set_page

        check_only_maps(asked, path)
        return data_set_page(path, track)
    if (path / FOLDS).is_file():
        from synthanom.report.run import run_page

        check_only_maps(asked, path)
        return run_page(path)
    if path.is_dir() and run_places(path):
        from synthanom.report.runs import runs_page

        check_only_maps(asked, path)
        return runs_page(path)
    if path.is_dir() and asked.knows_truth:
        from synthanom.report.maps import maps_page

        return maps_page(path, asked, track)
    found = "a folder without any of them" if path.is_dir() else "a file" if path.exists() else "no such path"
    raise SynthanomError(
        f"{path}: a report needs the folder of a data set (dataset.json), of runs (folds.json) or of maps "
        f"({PREDICTION}, or maps by other programs with --truth or --labels), got {found}; check the path"
    )
