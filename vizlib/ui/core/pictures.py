"""The photograph a page is about: a sample that needs no download, or what the visitor handed in."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vizlib

if TYPE_CHECKING:
    import numpy as np

LONGEST = 900  # pixels of the longer side on the page; the model always gets the whole picture
THUMBNAIL = 96


@dataclass(frozen=True)
class Sample:
    """A photograph that comes with an installed package: ``file`` in its data folder."""

    title: str
    file: str
    source: str
    package: str = "skimage"


_DATA = {"skimage": "data", "sklearn": "datasets/images"}  # where a package keeps its photographs
_PROJECTS = {"skimage": "scikit-image", "sklearn": "scikit-learn"}
SAMPLES = {
    "cat": Sample("Cat", "chelsea.png", "Stéfan van der Walt, CC0"),
    "coffee": Sample("Coffee", "coffee.png", "Rachel Michetti, CC0"),
    "rocket": Sample("Rocket", "rocket.jpg", "SpaceX, public domain"),
    "astronaut": Sample("Astronaut", "astronaut.png", "NASA, public domain"),
    "camera": Sample("Camera", "camera.png", "Lav Varshney, CC0"),
    "galaxies": Sample("Galaxies", "hubble_deep_field.jpg", "NASA, public domain"),
    "flower": Sample("Flower", "flower.jpg", "vultilion, CC BY 2.0", "sklearn"),
    "palace": Sample("Palace", "china.jpg", "Daniel Büchele, CC BY 2.0", "sklearn"),
}


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright RGB picture: ``identity`` tells it from all others, ``code`` is the Python that reads it.

    ``scaling`` says how a picture of more than 8 bits was brought to 8.
    """

    identity: str
    title: str
    pixels: np.ndarray
    code: str
    scaling: str = ""

    @cached_property
    def jpeg(self) -> tuple[bytes, tuple[int, int]]:
        """The picture as shown on the page, and its size (height, width) there."""
        return _jpeg(self.pixels, LONGEST, quality=88)

    @cached_property
    def thumbnail(self) -> str:
        """A small JPEG as a data address."""
        return "data:image/jpeg;base64," + base64.b64encode(_jpeg(self.pixels, THUMBNAIL, quality=80, square=True)[0]).decode()

    def __reduce__(self) -> tuple[Any, ...]:
        # A sample goes to another process by its name, and all others without what is made of their pixels anew.
        name = self.identity.removeprefix("sample:")
        if name in SAMPLES and sample(name) is self:
            return sample, (name,)
        return Picture, (self.identity, self.title, self.pixels, self.code, self.scaling)

    @property
    def blob_key(self) -> str:
        """What workers hold it by: with its title, for one file may come under two names."""
        return f"{self.identity}\n{self.title}"

    @property
    def file_name(self) -> str:
        """What the names of its files begin with."""
        return Path(self.title).stem

    @property
    def imports(self) -> str:
        """The line that ``code`` needs before it, empty where it needs none."""
        return imports_of(self.code)

    @property
    def credit(self) -> str:
        """Whose photograph a sample is, and its licence; empty for a visitor's own picture."""
        name = self.identity.removeprefix("sample:")
        return SAMPLES[name].source if name in SAMPLES else ""

    @property
    def size(self) -> str:
        """The size in words."""
        height, width = self.pixels.shape[:2]
        return f"{width} × {height} px"


def imports_of(*codes: str) -> str:
    """The lines that the expressions ``Picture.code`` of some pictures need before them."""
    packages = {code.partition(".")[0] for code in codes}
    return "".join(f"import {package}\n" for package in _DATA if package in packages)


@lru_cache(maxsize=len(SAMPLES))
def sample(name: str) -> Picture:
    """A sample picture, read straight from its package: importing all of scikit-image would cost a second."""
    photograph = SAMPLES[name]
    spec = find_spec(photograph.package)
    if spec is None or not spec.submodule_search_locations:
        project = _PROJECTS[photograph.package]
        raise vizlib.ImageError(f"This sample picture comes with {project}, which is not installed: add a picture of your own.")
    folder = _DATA[photograph.package]
    pixels = vizlib.read_image(Path(spec.submodule_search_locations[0]) / folder / photograph.file)
    return Picture(f"sample:{name}", photograph.title, pixels, f'{photograph.package}.__path__[0] + "/{folder}/{photograph.file}"')


def handed_in(name: str, content: bytes) -> Picture:
    """The picture in an uploaded file; ImageError when there is none."""
    # The name is part of it: what is kept for all visitors names the picture, and nobody reads another's name for it.
    digest = hashlib.blake2b(content, digest_size=16, key=hashlib.blake2b(name.encode(), digest_size=32).digest()).hexdigest()
    from vizlib.engine.limits import limits
    from vizlib.images import read_with_scaling

    pixels, scaling = read_with_scaling(content, limits().pixels)
    return Picture(f"upload:{digest}", name, pixels, json.dumps(name, ensure_ascii=False), scaling)


def _jpeg(pixels: np.ndarray, longest: int, *, quality: int, square: bool = False) -> tuple[bytes, tuple[int, int]]:
    from PIL import Image, ImageOps

    image = Image.fromarray(pixels)
    if square:
        image = ImageOps.fit(image, (longest, longest))
    elif max(image.size) > longest:
        factor = longest / max(image.size)
        width, height = (max(1, round(side * factor)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue(), (image.height, image.width)
