"""Arrays to PNG panels and charts. No display is needed."""

from synthanom.pictures.charts import Chart, Series, charts_picture
from synthanom.pictures.panel import panel
from synthanom.pictures.png import is_our_picture
from synthanom.pictures.shown import Example

__all__ = ["Example", "is_our_picture", "panel", "Chart", "Series", "charts_picture"]
