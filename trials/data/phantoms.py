"""Draw synthetic lesions in ultrasound for demonstrations and tests; they are no evidence about patients.

A lesion is a closed contour in layered tissue. Echoes come from random scatterers under a point-spread
function, so their envelope is Rayleigh speckle (Wagner et al. 1983, 10.1109/T-SU.1983.31404). Sound is
attenuated along the depth, less in a benign lesion (enhancement behind it) and more in a malignant one
(shadow). The image is the envelope in decibels. Benign lesions tend to be smooth, wider than tall and sharply
bounded, malignant ones irregular, spiculated, taller and blurred (the descriptors of BI-RADS). The classes
overlap; all numbers are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from trials.data.new_folder import new_folder, write_manifest

CLASSES = ("benign", "malignant")
SECOND_FRAME = 0.25  # share of lesions with two frames, so that groups matter
MARGIN = 0.1
DRAWN_SIDE = 128  # at least; what is smaller is made so: speckle and tissue have sizes in pixels
DYNAMIC_RANGE = 60.0  # decibels from black to white
LOOKS = 4  # independent speckle patterns averaged, as scanners that compound do
README = """Synthetic images: computer-made phantoms of lesions in ultrasound (lesion-nas, seed {seed}).
They show no people, and nothing measured on them says anything about patients.
"""


@dataclass(frozen=True)
class Lesion:
    """The looks of one lesion; lengths in pixels, `irregularity` 0 (an ellipse) to 1."""

    width: float
    height: float
    irregularity: float
    phases: np.ndarray
    echo: float  # decibels below the tissue
    attenuation: float  # decibels a pixel, beyond the tissue's; negative enhances what lies behind
    blur: float  # width of the edge, pixels
    tissue_seed: int  # of the tissue around it, the same in all its frames


def make_phantoms(out: str | Path, count: int = 160, seed: int = 0, side: int = 128) -> None:
    """Write `count` images, half of each class, with `manifest.csv` and a README that names them synthetic.

    The longer side of an image is at most `side` pixels; `duplicate_group` numbers the lesions. Images of a
    `side` below 128 are those of 128 made smaller. The same arguments give the same bytes. Raises ValueError
    for too few or too small images, and `DataError` where `out` already holds something.
    """
    if count < 2 or side < 32:
        raise ValueError(f"{count} phantoms of side {side}: expected at least 2 of side 32")
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    with new_folder(Path(out)) as folder:
        for label, images in zip(CLASSES, ((count + 1) // 2, count // 2), strict=True):
            for number, (lesion_number, image) in enumerate(_frames(label, images, side, rng), start=1):
                file = f"synthetic_{label}_{number:04d}.png"
                Image.fromarray(image).save(folder / file)
                group = f"{label}-{lesion_number}"
                height, width = image.shape
                row = {"file": file, "label": label, "width": width, "height": height}
                rows.append({**row, "duplicate_group": group, "source": "synthetic"})
        write_manifest(folder, rows)
        (folder / "README.txt").write_text(README.format(seed=seed), encoding="utf-8")


def _frames(label: str, count: int, side: int, rng: np.random.Generator) -> list[tuple[int, np.ndarray]]:
    """Return (lesion number, image) for `count` images; some lesions have two."""
    frames: list[tuple[int, np.ndarray]] = []
    number, drawn = 0, max(side, DRAWN_SIDE)
    while len(frames) < count:
        number += 1
        lesion = draw_lesion(label, drawn, rng)
        frames.append((number, scan(lesion, rng)))
        if rng.random() < SECOND_FRAME and len(frames) < count:
            frames.append((number, scan(replace(lesion, phases=lesion.phases + 0.1), rng)))
    return [(number, _smaller(image, side / drawn)) for number, image in frames]


def _smaller(image: np.ndarray, scale: float) -> np.ndarray:
    """Return the image, uint8 [h, w], at this share of its size, by means of the pixels that one covers."""
    if scale == 1:
        return image
    height, width = (max(1, round(scale * length)) for length in image.shape)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))


def draw_lesion(label: str, side: int, rng: np.random.Generator) -> Lesion:
    """Draw a lesion of the class, whose crop is at most `side` pixels long."""
    malignant = label == "malignant"
    aspect = np.exp(rng.normal(0.12 if malignant else 0.42, 0.22))  # width over height
    longer = side / (1 + 2 * MARGIN) * np.clip(rng.normal(0.8 if malignant else 0.68, 0.15), 0.35, 1)
    return Lesion(
        width=longer * min(1, aspect),
        height=longer * min(1, 1 / aspect),
        irregularity=rng.beta(3, 2) if malignant else rng.beta(1.6, 4),
        phases=rng.uniform(0, 2 * np.pi, 16),
        echo=rng.normal(15, 6),
        attenuation=rng.normal(0.15, 0.12) if malignant else rng.normal(-0.08, 0.08),
        blur=rng.uniform(1, 5) if malignant else rng.uniform(0.5, 3),
        tissue_seed=int(rng.integers(2**31)),
    )


def scan(lesion: Lesion, rng: np.random.Generator) -> np.ndarray:
    """Return one frame of the lesion, cropped with a margin of 10 %: uint8 [h, w]."""
    inside = lesion_mask(lesion)
    tissue = _tissue(inside.shape, np.random.default_rng(lesion.tissue_seed))
    echo = tissue * (1 - inside) + inside * (0.3 * tissue - lesion.echo)
    attenuation = lesion.attenuation * inside + rng.uniform(0.02, 0.08)
    decibels = echo - np.cumsum(attenuation, axis=0) + 20 * np.log10(_speckle(inside.shape, rng) + 1e-3)
    white = rng.normal(23, 3)
    return np.clip(255 * (1 + (decibels - white) / DYNAMIC_RANGE), 0, 255).astype(np.uint8)


def lesion_mask(lesion: Lesion) -> np.ndarray:
    """Return the share of each pixel that is lesion, 0 to 1, float [h, w]."""
    height, width = (round(length * (1 + 2 * MARGIN)) for length in (lesion.height, lesion.width))
    y, x = np.mgrid[:height, :width]
    v, u = (y - (height - 1) / 2) / (lesion.height / 2), (x - (width - 1) / 2) / (lesion.width / 2)
    inside = np.hypot(u, v) < contour(lesion, np.arctan2(v, u))
    return gaussian_filter(inside.astype(float), lesion.blur)


def contour(lesion: Lesion, angle: np.ndarray) -> np.ndarray:
    """Return the radius relative to the ellipse's at each `angle`, at most 1, with lobes and spicules."""
    lobes = np.zeros_like(angle)
    for order, phase in enumerate(lesion.phases[:8], start=2):
        lobes += np.cos(order * angle + phase) / order
    spicules = sum(np.maximum(0, np.cos(angle - phase)) ** 60 for phase in lesion.phases[8:])
    radius = 1 + lesion.irregularity * (0.22 * lobes + 0.3 * spicules)
    return radius / max(1.0, float(radius.max()))


def _tissue(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return the tissue's echo in decibels: layers across the beam, bright septa, patches of fat, gland."""
    layers, patches = (gaussian_filter(rng.normal(size=shape), sigma, mode="wrap") for sigma in ((2, 14), 9))
    layers, patches = layers / layers.std(), patches / patches.std()
    return 3 * layers + 3 * patches + 9 * np.exp(-((layers - 0.8) ** 2) / 0.08)


def _speckle(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return the root mean power of `LOOKS` fields of scatterers, whose points spread most across the beam.

    The envelope of each is Rayleigh distributed; the mean square of the result is 1.
    """
    fields = rng.normal(size=(LOOKS, *shape)) + 1j * rng.normal(size=(LOOKS, *shape))
    fields = gaussian_filter1d(gaussian_filter1d(fields, 0.9, axis=1, mode="wrap"), 1.5, axis=2, mode="wrap")
    power = (np.abs(fields) ** 2).mean(0)
    return np.sqrt(power / power.mean())
