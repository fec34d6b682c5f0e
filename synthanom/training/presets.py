"""The configurations that come with synthanom, by their names."""

from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.nearest import meant

FOLDER = Path(__file__).parents[2] / "configs"  # of a checkout, which an editable installation reads; a wheel has none


def presets() -> dict[str, Path]:
    """The files by their names, in order of these.

    Returns
    -------
    dict of str to Path
    """
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def config_file(given: Path) -> Path:
    """The file itself, or the configuration of that name.

    Parameters
    ----------
    given : Path
        As it was typed: ``my.yaml``, or ``cpu_small``.

    Returns
    -------
    Path

    Raises
    ------
    SynthanomError
        For a bare name that is neither a file nor a preset.
    """
    if given.exists() or given.suffix or len(given.parts) > 1:
        return given  # whoever reads it says what is wrong with a file
    known = presets()
    if str(given) not in known:
        raise SynthanomError(
            f"--config {given}: must be a YAML file or one of {', '.join(known)}, and there is no such file"
            f"{meant(str(given), known)}"
        )
    return known[str(given)]
