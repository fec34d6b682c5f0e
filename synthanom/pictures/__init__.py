"""Arrays to PNG panels. No display is needed."""

from synthanom.pictures.panel import Example, panel
from synthanom.pictures.png import is_our_picture

__all__ = ["Example", "is_our_picture", "panel"]
