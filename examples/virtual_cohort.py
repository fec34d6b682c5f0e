"""A virtual cohort: seeded variations of one real template, with and without simulated lesions.

The template is the 1 mm MNI152 (ICBM 2009a) T1 that nilearn's wheel holds, so that nothing is downloaded. Its subjects
are virtual: the anatomy is real, the differences between subjects are simulated. The lesions are none of synthanom's
tasks: soft-edged patches of texture whose mean matches the tissue that they replace and whose deviation matches the
whole brain's, so that no threshold finds them: their intensities are those of healthy tissue.
"""

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
from scipy import ndimage

GRID = (40, 48, 40)  # voxels along x, y, z
SPACING = 4.0  # mm; 160 x 192 x 160 mm hold the brain

Volume = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Variation:
    """How virtual subjects differ from the template."""

    displacement: float = 0.7  # voxels, standard deviation of the smooth deformation
    stiffness: float = 5.0  # voxels, its smoothness
    bias: float = 0.12  # standard deviation of the log bias field
    gamma: float = 0.25  # largest change of the contrast exponent
    noise: float = 0.03  # of the brightest tissue


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """How simulated lesions look."""

    radius: tuple[float, float] = (3.0, 5.5)  # voxels
    softness: float = 1.2  # voxels over which the edge fades
    grain: tuple[float, float] = (0.7, 1.8)  # voxels: band of the texture's smoothing
    contrast: float = 1.0  # the texture's deviation relative to the whole brain's


def template() -> tuple[Volume, npt.NDArray[np.float64]]:
    """The skull-stripped MNI152 template on a 40 x 48 x 40 grid of 4 mm, scaled to [0, 1], and its affine."""
    from nilearn.datasets import load_mni152_template

    source = load_mni152_template(resolution=1)
    values = np.asarray(source.dataobj, dtype=np.float64)
    smooth = ndimage.gaussian_filter(values, SPACING / 2.355)  # as thick voxels would see it
    centre = np.array(ndimage.center_of_mass(values > 0))
    origin = centre - SPACING * (np.array(GRID) - 1) / 2
    coarse = ndimage.affine_transform(smooth, np.full(3, SPACING), origin, GRID, order=1)
    inside = ndimage.affine_transform((values > 0).astype(float), np.full(3, SPACING), origin, GRID, order=1) > 0.5
    affine = np.array(source.affine, dtype=np.float64)
    affine[:3, 3] = affine[:3, :3] @ origin + affine[:3, 3]
    affine[:3, :3] *= SPACING
    return np.where(inside, coarse / coarse.max(), 0.0), affine


def smooth_field(rng: np.random.Generator, sigma: float) -> Volume:
    """A smooth random field of deviation 1 on the grid."""
    values = ndimage.gaussian_filter(rng.standard_normal(GRID), sigma, mode="wrap")
    return np.asarray(values / values.std())


def subject(anatomy: Volume, rng: np.random.Generator, variation: Variation | None = None) -> Volume:
    """One virtual subject: the template deformed, its contrast, bias field and noise drawn anew."""
    v = variation or Variation()
    shift = np.stack([v.displacement * smooth_field(rng, v.stiffness) for _ in range(3)])
    points = np.indices(GRID) + shift
    image = ndimage.map_coordinates(anatomy, points, order=1)
    inside = ndimage.map_coordinates((anatomy > 0).astype(float), points, order=1) > 0.5
    image = np.clip(image, 0, 1) ** (1 + v.gamma * (2 * rng.random() - 1))
    image *= np.exp(v.bias * smooth_field(rng, 10.0))
    image += v.noise * rng.standard_normal(GRID)
    return np.asarray(np.where(inside, np.maximum(image, 0.01), 0.0))


def with_lesion(
    image: Volume, rng: np.random.Generator, lesion: Lesion | None = None
) -> tuple[Volume, npt.NDArray[np.bool_]]:
    """A subject with one lesion, and where it is."""
    k = lesion or Lesion()
    brain = image > 0
    depth = ndimage.distance_transform_edt(brain)
    radius = k.radius[0] + (k.radius[1] - k.radius[0]) * rng.random()
    places = np.argwhere(depth > radius)
    centre = places[rng.integers(len(places))]
    grid = np.indices(GRID) - centre.reshape(3, 1, 1, 1)
    # an irregular outline: the radius varies smoothly with the direction
    distance = np.sqrt((grid**2).sum(axis=0)) + 0.15 * radius * smooth_field(rng, 3.0)
    weight = brain / (1 + np.exp((distance - radius) / (k.softness / 2)))
    part = weight > 0.5
    low, high = k.grain
    noise = rng.standard_normal(GRID)
    texture = ndimage.gaussian_filter(noise, low) - ndimage.gaussian_filter(noise, high)
    texture *= k.contrast * image[brain].std() / texture[part].std()
    texture += image[part].mean() - texture[part].mean()
    out = (1 - weight) * image + weight * np.maximum(texture, 0.01)
    return np.where(brain, out, 0.0), part


def write_cohort(folder: Path, *, train: int = 20, test: int = 16, seed: int = 0) -> None:
    """Write the cohort as NIfTI: `train/`, `test/`, and the lesions' masks in `truth/` (empty for healthy ones).

    Every second test subject has a lesion. The same seed writes the same files.
    """
    anatomy, affine = template()
    for name in ("train", "test", "truth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(train):
        rng = np.random.default_rng([seed, 0, number])
        _write(folder / "train" / f"virtual-{number:02d}.nii.gz", subject(anatomy, rng).astype(np.float32), affine)
    for number in range(test):
        rng = np.random.default_rng([seed, 1, number])
        image, truth = subject(anatomy, rng), np.zeros(GRID, dtype=bool)
        if number % 2:
            image, truth = with_lesion(image, rng)
        name = f"unseen-{number:02d}.nii.gz"
        _write(folder / "test" / name, image.astype(np.float32), affine)
        _write(folder / "truth" / name, truth.astype(np.uint8), affine)


def _write(
    path: Path, values: npt.NDArray[np.float32] | npt.NDArray[np.uint8], affine: npt.NDArray[np.float64]
) -> None:
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
