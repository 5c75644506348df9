"""What a visitor chooses: the picture, the models, how the picture is fitted, how maps look."""

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
from vizlib.ui.core.pictures import SAMPLES, handed_in, sample
from vizlib.ui.core.url_state import number, one_of, some_of
from vizlib.ui.widgets import user_model_form
from vizlib.ui.widgets.uploader import uploader
from vizlib.zoo.cards import all_cards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlit.runtime.uploaded_file_manager import UploadedFile

    from vizlib import ModelCard
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState

YOURS = "yours"
MOST_MODELS = 4
MOST_BYTES = 20 << 20  # of a picture
_FIRST_MODELS = ("vit_tiny50", "resnet_tiny50")
_OWN_FIT = "model"
_FIT_WORDS = {_OWN_FIT: "as trained", "crop": "crop", "pad": "pad", "squash": "squash"}


def pick_picture(url_state: UrlState, first: str = next(iter(SAMPLES))) -> Picture:
    """Samples, opening on ``first``, and an uploader; what cannot be read is said, and the picture before it stays."""
    key = url_state.declare("sample", first, one_of(list(SAMPLES)))
    state = st.session_state
    state.setdefault("pictures", {"yours": None, "use": False, "error": ""})
    mine = state["pictures"]

    def take_sample() -> None:
        chosen = state["pictures.gallery"].pick
        mine["use"], mine["error"] = chosen == YOURS, ""
        if chosen in SAMPLES:
            state[key] = chosen

    def take_upload(files: list[UploadedFile]) -> None:
        file = files[0]
        mine["error"] = ""
        if file.size > MOST_BYTES:
            mine["error"] = f"{file.name} has {file.size / 1e6:.0f} MB, over the limit of {MOST_BYTES >> 20} MB: save it smaller."
            return
        try:
            mine["yours"] = handed_in(file.name, file.getvalue())
        except vizlib.ImageError as error:
            mine["error"] = str(error)
        else:
            mine["use"] = True

    left, right = st.columns([3, 2], gap="medium")
    # What is shown, the gallery says: the uploader is empty again, and replacing a file never first takes the old one away.
    uploader(
        right,
        "pictures.upload",
        "Add a photograph",
        take_upload,
        type=["image/*"],
        max_upload_size=MOST_BYTES >> 20,
        help="Choose, drop or paste a picture of up to 20 MB and 40 megapixels. It stays in this server's memory.",
    )
    yours = mine["yours"]
    choices = ({YOURS: yours} if yours else {}) | {name: sample(name) for name in SAMPLES}
    chosen = YOURS if yours and mine["use"] else state[key]
    with left:
        image_gallery(choices, chosen, key="pictures.gallery", on_pick=take_sample)
    if mine["error"]:
        st.error(mine["error"] + " The picture before it is still shown.", icon=":material/broken_image:")
    return choices[chosen]


def pick_models(url_state: UrlState, first: Sequence[str] = _FIRST_MODELS, most: int = MOST_MODELS) -> list[ModelCard]:
    """Up to ``most`` models, ``first`` those that are bundled; or one that the visitor opens from a file, which no link carries."""
    state, known = st.session_state, all_cards()
    bundled = [name for name, card in known.items() if card.source == "bundled"]
    opening = [name for name in first if name in bundled]
    key = url_state.declare("models", opening, some_of(list(known), most), lambda names: _shared(names, known))
    fresh, mine = user_model_form.finish_opening(), user_model_form.opened_models()
    cards: dict[str, ModelCard] = mine | known
    chosen = [name for name in state[key] if name in cards]
    state[key] = [*chosen[: most - 1], fresh] if fresh else chosen

    def word(name: str) -> str:
        if name in mine:
            return f"{mine[name].title} · yours"
        return name if name in bundled else f"{name} · {formatting.megabytes(cards[name])}"

    picked = st.multiselect(
        "Models",
        [*bundled, *mine, *(name for name in known if name not in bundled)],
        key=key,
        format_func=word,
        max_selections=most,
        select_all=False,
        placeholder="Choose a model",
        help="The first ones are built in, small, and work offline. The weights of the others are fetched once, when you say so.",
    )
    user_model_form.draw_user_models()
    return [cards[name] for name in picked]


def _shared(names: list[str], known: dict[str, ModelCard]) -> str | None:
    """The models as a link names them; None where all are the visitor's own, for then the link opens on the usual ones."""
    linked = [name for name in names if name in known]
    return ",".join(linked) if linked or not names else None


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

    "own" goes from zero to the map's own peak, "stretch" from its lowest value, "one" from zero to the highest peak of all maps.
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
        "scale": url_state.declare("scale", "own", one_of(("own", "stretch", "one"))),
    }

    def take_look() -> None:
        told = state["look"].look or {}
        for name, key in keys.items():
            state[key] = told.get(name, state[key])

    chosen = MapStyle(*(state[key] for key in keys.values()))
    map_controls(chosen.opacity, chosen.colormap, chosen.scale, several=several, key="look", on_change=take_look)
    return chosen
