"""What a visitor chooses beside the models: the picture, how it is fitted, how maps look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

import vizlib
from vizlib.figures.colormaps import COLORMAP_NAMES
from vizlib.geometry import FITS
from vizlib.ui.components.image_gallery import image_gallery
from vizlib.ui.components.map_controls import map_controls
from vizlib.ui.core import formatting
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.pictures import SAMPLES, handed_in, sample
from vizlib.ui.core.url_state import number, one_of
from vizlib.ui.widgets.uploader import uploader

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState

YOURS = "yours"
FIRST_SAMPLE = next(iter(SAMPLES))
MOST_BYTES = 20 << 20  # of a picture
_OWN_FIT = "model"
_FIT_WORDS = {_OWN_FIT: "as trained", "crop": "crop", "pad": "pad", "squash": "squash"}


def pick_picture(url_state: UrlState, first: str = FIRST_SAMPLE) -> Picture:
    """Samples, opening on ``first``, and an uploader; what cannot be read is said, and the picture before it stays."""
    key = url_state.declare("sample", first, one_of(list(SAMPLES)))
    state = st.session_state
    upload = state.setdefault("pictures", {"yours": None, "use": False, "error": ""})

    def take_sample() -> None:
        chosen = state["pictures.gallery"].pick
        upload["use"], upload["error"] = chosen == YOURS, ""
        if chosen in SAMPLES:
            state[key] = chosen

    def take_upload(files: list[UploadedFile]) -> None:
        file = files[0]
        upload["error"] = ""
        if file.size > MOST_BYTES:
            upload["error"] = f"{file.name} has {file.size / 1e6:.0f} MB, over the limit of {MOST_BYTES >> 20} MB: save it smaller."
            return
        try:
            upload["yours"] = handed_in(file.name, file.getvalue())
        except vizlib.ImageError as error:
            upload["error"] = str(error)
        else:
            upload["use"] = True

    left, right = st.columns([3, 2], gap="medium")
    # What is shown, the gallery says: the uploader is empty again, and replacing a file never first takes the old one away.
    uploader(
        right,
        "pictures.upload",
        "Add a picture",
        take_upload,
        type=["image/*"],
        max_upload_size=MOST_BYTES >> 20,
        help="Choose, drop or paste a picture of up to 20 MB and 40 megapixels. It stays in this server's memory.",
    )
    yours = upload["yours"]
    choices = ({YOURS: yours} if yours else {}) | {name: sample(name) for name in SAMPLES}
    chosen = YOURS if yours and upload["use"] else state[key]
    with left:
        image_gallery(choices, chosen, key="pictures.gallery", on_pick=here(take_sample))
    if upload["error"]:
        st.error(upload["error"] + " The picture before it is still shown.", icon=":material/broken_image:")
    picture = choices[chosen]
    if picture.scaling:
        st.caption(f"{formatting.plain(picture.title)}: {picture.scaling}")
    return picture


def pick_fit(url_state: UrlState) -> str | None:
    """How a picture that is not square is fitted into a model's square input; None is the model's own way."""
    key = url_state.declare("fit", _OWN_FIT, one_of(FITS))
    chosen = st.selectbox(
        "Fit",
        list(_FIT_WORDS),
        key=key,
        format_func=lambda name: _FIT_WORDS[name],
        help="Models take one shape, mostly a square. **crop** keeps the middle, **pad** adds borders, **squash** stretches; "
        "**as trained** is what the model was trained with.",
    )
    return None if chosen == _OWN_FIT else chosen


@dataclass(frozen=True)
class MapStyle:
    """How maps are drawn: opacity 0 to 1, a colour map, and a ``scale``.

    "own" goes from zero to where the map's own colours end (``figures.map_scale``), "max" to its largest value, "stretch" from its lowest
    to its largest value, "one" from zero to the highest end of all maps.
    """

    opacity: float
    colormap: str
    scale: str


def pick_map_style(url_state: UrlState, *, several: bool) -> MapStyle:
    """Opacity, colours and scale of all maps on the page, drawn in the browser and kept in the address."""
    state = st.session_state
    keys = {
        "opacity": url_state.declare("opacity", 0.6, number(0, 1), lambda value: f"{value:g}"),
        "colormap": url_state.declare("colors", COLORMAP_NAMES[0], one_of(COLORMAP_NAMES)),
        "scale": url_state.declare("scale", "own", one_of(("own", "max", "stretch", "one"))),
    }

    def take_appearance() -> None:
        appearance = state["map_controls"].appearance or {}
        for name, key in keys.items():
            state[key] = appearance.get(name, state[key])

    chosen = MapStyle(*(state[key] for key in keys.values()))
    map_controls(chosen.opacity, chosen.colormap, chosen.scale, several=several, key="map_controls", on_change=here(take_appearance))
    return chosen
