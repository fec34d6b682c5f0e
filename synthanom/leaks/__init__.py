"""What lets a detector see in training what it is judged on: shared subjects, images and donors."""

from synthanom.leaks.checks import find_leaks, places_of
from synthanom.leaks.finding import KINDS, Leak, Place
from synthanom.leaks.hashing import NEAR, perceptual_hash
from synthanom.leaks.images import ImageKeys
from synthanom.leaks.tested import Tested

__all__ = [
    "KINDS",
    "NEAR",
    "ImageKeys",
    "Leak",
    "Place",
    "Tested",
    "find_leaks",
    "perceptual_hash",
    "places_of",
]
