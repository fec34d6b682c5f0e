"""What lets a detector see in training what it is judged on: shared subjects, images and donors."""

from synthanom.leaks.checks import find_leaks
from synthanom.leaks.finding import KINDS, Leak, Place
from synthanom.leaks.hashing import NEAR, perceptual_hash
from synthanom.leaks.images import ImageKeys

__all__ = ["find_leaks", "ImageKeys", "Leak", "Place", "KINDS", "perceptual_hash", "NEAR"]
