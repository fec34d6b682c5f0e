"""What a preprocessing step is."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from synthanom.arrays import ImageArray
from synthanom.preprocess.state import State


class AbstractStep(ABC):
    """Settings (the fields of a frozen dataclass) and the two directions of one step.

    `name` is what is stored; `inverse` needs the trace entry alone, so that stored traces stand by themselves.
    """

    name: ClassVar[str]

    @abstractmethod
    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Do the step.

        Parameters
        ----------
        state : State
            Left as it is.

        Returns
        -------
        state : State
            The image after this step.
        entry : dict
            JSON-able: what `inverse` goes back by.

        Raises
        ------
        SynthanomError
            If the step does not suit the image.
        """

    @staticmethod
    @abstractmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """Put a map back on the grid before this step.

        Parameters
        ----------
        score : ndarray of shape (*S), float32
            On the grid after the step.
        entry : mapping
            What `forward` gave.
        order : {0, 1, 3}
            How resampling is undone: nearest neighbour, linear, cubic.

        Returns
        -------
        ndarray of shape (*S before), float32
        """

    def settings(self) -> dict[str, Any]:
        """The settings as JSON values."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]  # every step is a dataclass
        return {field.name: _plain(getattr(self, field.name)) for field in fields}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
