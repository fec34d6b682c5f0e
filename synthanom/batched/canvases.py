"""The pictures of a batch while anomalies are put into them."""

from dataclasses import dataclass

from torch import Tensor

from synthanom.kernels.windows.gpu import Canvas, places


@dataclass(frozen=True, kw_only=True, eq=False)
class Canvases:
    """What the anomalies of a batch change.

    Attributes
    ----------
    pictures : Canvas of float32 (B, C, Z, Y, X)
    regions : Canvas of bool (B, 1, Z, Y, X), what goes to the labeller
    limits : float32 (B, 2, C), ranges of the untouched pictures
    suitable : bool (B,), cleared for samples one of whose shapes does not suit its task
    """

    pictures: Canvas
    regions: Canvas
    limits: Tensor
    suitable: Tensor

    @property
    def flat(self) -> bool:
        """Whether these are pictures, not volumes."""
        return self.pictures.images.shape[2] == 1

    def put(self, sample: Tensor, start: Tensor, values: Tensor, where: Tensor, touched: Tensor) -> None:
        """Put windows (N, C, *P) into the pictures where bool (N, *P) says, and those touched into the regions."""
        place = places(self.regions.images.shape, sample, start, where)
        self.pictures.put(place, values)
        self.regions.put(place, touched.unsqueeze(1) | self.regions.at(place))
