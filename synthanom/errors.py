"""What synthanom raises.

Every message says what is wrong, what is required, what came, and the way out.
"""


class SynthanomError(ValueError):
    """Bad input, settings or files; the message is meant for the person at the keyboard."""


class NoPlace(SynthanomError):
    """No drawn shape found a place that lies at least half in the foreground."""


class NothingVisible(SynthanomError):
    """Every attempt at a sample changed the image too little to be labelled."""


class UnsuitableRegion(SynthanomError):
    """A task cannot work in this region (too small, no depth); another is drawn, a bounded number of times."""


class MissingExtra(SynthanomError):
    """An optional dependency is needed; the message names the extra that installs it."""


class NormalisationWarning(UserWarning):
    """The image is not in the units that the default settings assume (z-scored or scaled to [-1, 1])."""


class MissingDonor(SynthanomError):
    """A donor that a recipe names is in none of the data sets at hand."""


class TooLittleMemory(SynthanomError):
    """Memory ran out in the middle of one image; others may still fit."""
