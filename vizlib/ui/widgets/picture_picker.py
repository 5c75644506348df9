"""The picture that a page is about, as its visitor chooses it: a sample, a file, the camera, or an address where the operator allows it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import streamlit as st

import vizlib
from vizlib.datasets.image_url import fetch_image_bytes, host_list
from vizlib.engine.limits import limits
from vizlib.ui.components.image_gallery import image_gallery
from vizlib.ui.core import formatting
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.pictures import SAMPLES, handed_in, sample
from vizlib.ui.core.presenting import controls
from vizlib.ui.core.url_state import one_of, resend
from vizlib.ui.widgets.uploader import let_go, uploader

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator
    from streamlit.runtime.uploaded_file_manager import UploadedFile

    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState

YOURS = "yours"
NO_PICTURE = "none"
FIRST_SAMPLE = next(iter(SAMPLES))
HOSTS_VARIABLE = "VIZLIB_APP_URL_HOSTS"  # the hosts that pictures may be fetched from, with commas between; none unless set


def pick_picture(url_state: UrlState, first: str = FIRST_SAMPLE) -> Picture:
    """Samples, opening on ``first``, and ways to hand one in; what cannot be read is said, and the picture before it stays."""
    key = url_state.declare("sample", first, one_of(list(SAMPLES)))
    state, upload = st.session_state, _handed_in()

    def take_sample() -> None:
        chosen = state["pictures.gallery"].pick
        upload["use"], upload["error"] = chosen == YOURS, ""
        if chosen in SAMPLES:
            state[key] = chosen

    with controls("picture"):
        left, right = st.columns([3, 2], gap="medium")
    with right:
        _draw_sources()
    yours = upload["yours"]
    choices = ({YOURS: yours} if yours else {}) | {name: sample(name) for name in SAMPLES}
    chosen = YOURS if yours and upload["use"] else state[key]
    with left:
        image_gallery(choices, chosen, key="pictures.gallery", on_pick=here(take_sample))
    if upload["error"]:
        st.error(formatting.plain(upload["error"]) + " The picture before it is still shown.", icon=":material/broken_image:")
    picture = choices[chosen]
    if picture.scaling:
        st.caption(f"{formatting.plain(picture.title)}: {picture.scaling}")
    return picture


def second_key(url_state: UrlState) -> str:
    """Declare the second picture, before it can be chosen where that takes its time."""
    linked = [NO_PICTURE, *SAMPLES]
    return url_state.declare("second", NO_PICTURE, one_of(linked), lambda name: name if name in linked else None)


def pick_second_picture(url_state: UrlState, home: DeltaGenerator, first: Picture) -> Picture | None:
    """A picture other than the first to look at beside it, in a container of its own; None where the visitor wants none, as at first.

    A picture of the visitor's own is not part of a link.
    """
    upload = _handed_in()
    offered = ({YOURS: upload["yours"].identity} if upload["yours"] else {}) | {name: f"sample:{name}" for name in SAMPLES}
    names = [NO_PICTURE, *(name for name, identity in offered.items() if identity != first.identity)]
    key = second_key(url_state)
    if st.session_state[key] not in names:
        st.session_state[key] = NO_PICTURE

    def word(name: str) -> str:
        if name == NO_PICTURE:
            return "nothing"
        return f"{upload['yours'].title} · yours" if name == YOURS else SAMPLES[name].title

    chosen = home.selectbox(
        "Beside it", names, key=resend(key), format_func=word, help="A second picture: the same models and methods on both, side by side."
    )
    if chosen == NO_PICTURE:
        return None
    return upload["yours"] if chosen == YOURS else sample(chosen)


def pick_likeness(url_state: UrlState) -> bool:
    """Whether the two pictures are explained by what makes them alike instead of by the models' answers."""
    key = url_state.declare("explain", "answers", one_of(("answers", "likeness")))
    toggle = f"{key}.toggle"
    st.session_state[toggle] = st.session_state[key] == "likeness"

    def take() -> None:
        st.session_state[key] = "likeness" if st.session_state[toggle] else "answers"

    return st.toggle(
        "More like this picture: explain what makes the two alike", key=resend(toggle), on_change=here(take),
        help="Instead of an answer, each map then explains what brings a picture's features close to those of the other one. "
        "That needs no classes, so a model without a head has maps by gradients too.",
    )  # fmt: skip


def show_picture(picture: Picture | None) -> None:
    """Have the pages show this picture as the visitor's own; with None the sample that is chosen."""
    upload = _handed_in()
    upload["error"], upload["use"] = "", picture is not None
    if picture is not None:
        upload["yours"] = picture


def show_sample(url_state: UrlState, name: str) -> None:
    """Have a page show this sample."""
    show_picture(None)
    url_state.reset("sample", name)


def allowed_hosts() -> frozenset[str]:
    """The hosts that the operator allows pictures to be fetched from."""
    return host_list(os.environ.get(HOSTS_VARIABLE, ""))


def _handed_in() -> dict[str, Any]:
    """The picture that the visitor handed in, whether it is shown, and what was wrong with the last one."""
    state: dict[str, Any] = st.session_state.setdefault("pictures", {"yours": None, "use": False, "error": ""})
    return state


def _draw_sources() -> None:
    """The uploader, the camera, and a field for an address where there are hosts to fetch from."""
    # What is shown, the gallery says: the uploader is empty again, and replacing a file never first takes the old one away.
    uploader(
        st.container(),
        "pictures.upload",
        "Add a picture",
        _take_files,
        type=["image/*"],
        max_upload_size=limits().picture_mb,
        help=f"Choose, drop or paste a picture of up to {limits().picture_mb} MB and {limits().pixels / 1e6:g} megapixels. "
        "It stays in this server's memory.",
    )
    with st.container(horizontal=True):
        _draw_camera()
        hosts = allowed_hosts()
        if hosts:
            _draw_address(hosts)


def _draw_camera() -> None:
    state = st.session_state
    taken = state.setdefault("pictures.camera.taken", 0)
    popover = st.popover("Camera", icon=":material/photo_camera:", key="pictures.camera", on_change="rerun")
    if not popover.open:  # a camera that is drawn is a camera that is on
        return
    with popover:
        photograph = st.camera_input("Take a picture", key=f"pictures.camera.{taken}", label_visibility="collapsed")
    if photograph is not None:
        _take("photograph.jpg", photograph.getvalue())
        state["pictures.camera.taken"] = taken + 1  # last: another run of the page may see the picture too
        let_go(photograph)
        st.rerun()


def _draw_address(hosts: frozenset[str]) -> None:
    state, key, wanted = st.session_state, "pictures.address.typed", "pictures.address.wanted"

    def want() -> None:
        state[wanted] = state[key].strip()

    with st.popover("Address", icon=":material/link:"), st.form("pictures.address", border=False):
        st.text_input(f"A picture at {', '.join(sorted(hosts))}", value=state.get(key, ""), key=key, placeholder="https://", max_chars=2048)
        st.form_submit_button("Fetch it", on_click=here(want))
    if wanted not in state:
        return
    try:
        _fetch(state[wanted], hosts)
    except Exception:
        del state[wanted]  # told once, and not tried again with every run
        raise
    del state[wanted]  # last: where another run cuts this one short, that one fetches the picture
    st.rerun()


def _fetch(url: str, hosts: frozenset[str]) -> None:
    try:
        with st.spinner("Fetching the picture"):
            content = fetch_image_bytes(url, hosts, most_bytes=limits().picture_mb << 20)
    except vizlib.ImageError as error:
        _handed_in()["error"] = str(error)
    else:
        _take(unquote(urlsplit(url).path.rpartition("/")[2]) or "picture", content)


def _take_files(files: list[UploadedFile]) -> None:
    file = files[0]
    most = limits().picture_mb
    if file.size > most << 20:
        too_large = f"{file.name} has {file.size / 1e6:.0f} MB, over the limit of {most} MB: save it smaller."
        _handed_in()["error"] = too_large
        return
    _take(file.name, file.getvalue())


def _take(name: str, content: bytes) -> None:
    """Show what was handed in; what cannot be read is said."""
    upload = _handed_in()
    upload["error"] = ""
    try:
        upload["yours"] = handed_in(name, content)
    except vizlib.ImageError as error:
        upload["error"] = str(error)
    else:
        upload["use"] = True
