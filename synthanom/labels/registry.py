"""Labellers by their stored names."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from synthanom.errors import SynthanomError
from synthanom.labels.abstract import AbstractLabeller
from synthanom.labels.binary import Binary
from synthanom.labels.factor import Factor
from synthanom.labels.flipped_gaussian import FlippedGaussian
from synthanom.labels.logistic import Logistic
from synthanom.nearest import meant

LABELLERS: dict[str, type[AbstractLabeller]] = {
    "flipped_gaussian": FlippedGaussian,
    "logistic": Logistic,
    "binary": Binary,
    "factor": Factor,
}


def labeller_from(data: Mapping[str, Any]) -> AbstractLabeller:
    """The labeller of a name and settings, as its `to_dict` gives them; without a name `FlippedGaussian`.

    Parameters
    ----------
    data : mapping
        ``name``, and settings; those not named keep their defaults.

    Returns
    -------
    AbstractLabeller

    Raises
    ------
    SynthanomError
        For a name or a setting that does not exist, or a wrong value.
    """
    settings = {name: value for name, value in data.items() if name != "name"}
    name = data.get("name", FlippedGaussian.name)
    if name not in LABELLERS:
        raise SynthanomError(f"label must be one of {', '.join(LABELLERS)}, got {name!r}{meant(str(name), LABELLERS)}")
    cls = LABELLERS[name]
    known = [field.name for field in fields(cls)]
    unknown = [setting for setting in settings if setting not in known]
    if unknown:
        hint = meant(unknown[0], known) or f"; {name} has {', '.join(known)}"
        raise SynthanomError(f"label has no setting {unknown[0]!r}{hint}")
    try:
        return cls(**settings)
    except TypeError as error:
        raise SynthanomError(f"label {name} got a setting of the wrong type: {error}") from error
