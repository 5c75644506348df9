"""The parts of the page of comparisons: findings, CKA, layers side by side, measures along depth, the difference, files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

import streamlit as st

from vizlib.analysis.features.layer_alignment import WAYS
from vizlib.compare import text as about
from vizlib.compare.result import NEEDS
from vizlib.ui.components.image_gallery import image_gallery
from vizlib.ui.components.layer_pair import layer_pair
from vizlib.ui.core import formatting, job_slots
from vizlib.ui.core.component_state import component_state
from vizlib.ui.core.pictures import Picture
from vizlib.ui.core.url_state import one_of
from vizlib.ui.pages.compare import comparison_jobs
from vizlib.ui.pages.compare.layer_pair_data import pack_layer_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from vizlib.compare.charts import Chart
    from vizlib.compare.result import Comparison, Example
    from vizlib.compare.text import ChartText
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.compare.comparison_jobs import ComparisonRequest, LogitAttributions
    from vizlib.ui.pages.compare.layer_pair_data import End

KINDS = {
    "tokens/linear": "places, linear", "tokens/rbf": "places, rbf", "pooled/linear": "mean over places, linear",
    "pooled/rbf": "mean over places, rbf",
}  # fmt: skip
_WAYS = {"depth": "by depth", "stride": "by stride", "cka": "by best CKA"}
_FIELD = 80  # pixels of a receptive field on the page: four are beside one another on a telephone
_OPEN = 10  # findings that are read without a click: those of two models
_SHOWS = ("colours", "length", "channels")
_PAIRS = tuple(f"{first}-{second}" for first, second in combinations(range(4), 2))


@dataclass(frozen=True)
class View:
    """The keys of what is chosen on the page, declared before there is anything to show, so that a link keeps them.

    ``layers`` is what is chosen inside the component of aligned layers, and ``take`` takes what the browser tells of it.
    """

    pair: str
    kind: str
    cell: str
    way: str
    look: str
    of: str
    layers: dict[str, Any]
    take: Callable[[], None]

    @classmethod
    def of_address(cls, url_state: UrlState, wish: ComparisonRequest) -> View:
        """Every part of the page's address that a widget of these sections holds."""
        layers, take = component_state(
            url_state, "compare.layers", {"show": _SHOWS}, {"layer": (-1, _whole), "place": ("0,0.5,0.5", _place)}
        )
        return cls(
            url_state.declare("pair", _PAIRS[0], one_of(_PAIRS)),
            url_state.declare("cka", "tokens/linear", one_of(tuple(KINDS))),
            url_state.declare("cell", "", _cell_text),
            url_state.declare("way", "depth", one_of(tuple(WAYS))),
            url_state.declare("look", next(iter(wish.pictures.pictures), ""), str, linked=bool(wish.pictures.samples)),
            url_state.declare("of", "first", one_of(("first", "second"))),
            layers,
            take,
        )


def pick_pair(found: Comparison, view: View) -> tuple[int, int]:
    """The two models that are looked at closely, of all that are compared."""
    count = len(found.models)
    pairs = {f"{first}-{second}": (first, second) for first, second in combinations(range(count), 2)}
    if st.session_state[view.pair] not in pairs:
        st.session_state[view.pair] = _PAIRS[0]
    if count == 2:
        return 0, 1
    names = [one.name for one in found.models]
    chosen = st.selectbox(
        "Two of them closely", list(pairs), key=view.pair,
        format_func=lambda pair: " and ".join(names[model] for model in pairs[pair]),
        help="Layers, pictures and answers are set side by side for two models; the charts along depth have all of them.",
    )  # fmt: skip
    return pairs[chosen]


def draw_findings(found: Comparison) -> None:
    """What was measured, in sentences, beside what papers claim; and what was left out."""
    from vizlib.compare.findings import findings

    lines = []
    for one in findings(found):
        line = f"- {formatting.plain(one.text)}"
        if one.claim:
            verdict = ":green-badge[:material/check: here it is so]" if one.agrees else ":orange-badge[:material/close: here it is not so]"
            line += f"  \n  :gray[{formatting.plain(one.claim)}] {verdict}"
        lines.append(line)
    count = len(found.images)
    st.header("What was found", anchor=False)
    st.markdown("\n".join(lines[:_OPEN]))
    if len(lines) > _OPEN:
        with st.expander(f"{len(lines) - _OPEN} more", icon=":material/list:"):
            st.markdown("\n".join(lines[_OPEN:]))
    pictures = "one picture" if count == 1 else f"{count} pictures"
    st.caption(
        f"Measured on {pictures} in {formatting.seconds(found.seconds)}. A claim of a paper holds for its models and data; "
        "so few pictures and these models are a case, not a proof."
    )
    if found.skipped:
        listed = "\n".join(f"- **{formatting.plain(name)}**: {formatting.plain(why)}" for name, why in found.skipped)
        st.warning(f"Left out, for they could not be read:\n{listed}", icon=":material/broken_image:")


def pick_map_style(found: Comparison, view: View) -> Example | None:
    """The picture whose layers are looked at."""
    names = [one.name for one in found.shown]
    if not names:
        return None
    if st.session_state[view.look] not in names:
        st.session_state[view.look] = names[0]
    if len(names) > 1:
        image_gallery(_thumbnails(found), st.session_state[view.look], key="compare.gallery", on_pick=partial(_take_look, view))
    if len(found.images) > len(names):
        st.caption(f"Layers are kept of the first {len(names)} pictures; all {len(found.images)} are in the measures.")
    return next(one for one in found.shown if one.name == st.session_state[view.look])


def draw_cka(found: Comparison, shown: Example | None, both: tuple[int, int], view: View) -> None:
    """Which layers hold the same, as heat maps; a click on a cell shows its two layers."""
    from vizlib.compare.charts import cka_chart
    from vizlib.figures.charts import CONFIG
    from vizlib.figures.comparison_charts import clickable

    _open(about.CKA)
    few = "cka" in found.missing
    st.segmented_control(
        "CKA of", list(KINDS), key=view.kind, format_func=KINDS.__getitem__, required=True, disabled=few, label_visibility="collapsed"
    )
    if few:
        st.info(found.missing["cka"], icon=":material/photo_library:")
        return
    reading, kernel = st.session_state[view.kind].split("/")
    first, second = both
    ends = _cell(found, both, view, reading, kernel)
    for column, (rows, columns) in zip(st.columns(3, gap="medium"), ((first, second), (first, first), (second, second)), strict=True):
        chosen = (ends[0][1], ends[1][1]) if (ends[0][0], ends[1][0]) == (rows, columns) else None
        key = f"compare.cka.{rows}.{columns}"
        figure = clickable(cka_chart(found, rows, columns, reading, kernel), chosen)
        figure.update_traces(showscale=(rows, columns) == both, selector={"type": "heatmap"})  # one scale is enough for three maps
        with column:
            st.plotly_chart(
                figure, key=key, config=CONFIG, selection_mode="points",
                on_select=partial(_take_cell, view, key, rows, columns),
            )  # fmt: skip
    if "interval" in found.missing:
        st.caption(found.missing["interval"])
    if shown is not None:
        names = [
            f"**{formatting.plain(found.models[model].layers[layer].name)}** of {formatting.plain(found.models[model].name)}"
            for model, layer in ends
        ]
        value = found.between(ends[0][0], ends[1][0], reading, kernel).value[ends[0][1], ends[1][1]]
        st.markdown(f"The framed cell: {names[0]} and {names[1]}, CKA {value:.2f}. Click another to see its two layers here.")
        _draw_pairs("cell", found, shown, [ends], {"show": "colours", "layer": 0, "place": "0,0.5,0.5"}, single=True)
    _close(about.CKA)


def draw_layers(found: Comparison, shown: Example, both: tuple[int, int], view: View) -> None:
    """Aligned layers of two models on one picture, and which of their places are alike."""
    _open(about.CORRESPONDENCE, "Layer beside layer")
    few = "cka" in found.missing
    if few and st.session_state[view.way] == "cka":
        st.session_state[view.way] = "depth"
    ways = [way for way in WAYS if not (few and way == "cka")]
    st.segmented_control(
        "Beside one another", ways, key=view.way, format_func=_WAYS.__getitem__, required=True,
        help="; ".join(f"{_WAYS[way]}: {text}" for way, text in WAYS.items()) + ".",
    )  # fmt: skip
    if few:
        st.caption(f"By best CKA needs at least {NEEDS['cka']} pictures.")
    first, second = both
    pairs: list[tuple[End, End]] = [((first, mine), (second, theirs)) for mine, theirs in found.aligned(st.session_state[view.way], *both)]
    said = [
        f"{formatting.plain(found.models[model].name)} answers **{formatting.plain(shown.answers[model][0][0])}** "
        f"({formatting.percent(shown.answers[model][0][1])})"
        for model in both
        if shown.answers[model]
    ]
    if said:
        st.markdown(f"{formatting.plain(shown.name)}: {'; '.join(said)}.")
    _draw_pairs("layers", found, shown, pairs, view.layers, take=view.take)
    _close(about.CORRESPONDENCE)


def draw_charts(found: Comparison) -> None:
    """The measures along depth, all models in each."""
    from vizlib.compare.charts import charts

    made = charts(found)
    tiles: list[Callable[[], None]] = [partial(_draw_chart, name, one) for name, one in made.items()]
    tiles.insert(1, partial(_draw_fields, found))  # beside how far each layer looks
    st.header("From the first layer to the last", anchor=False)
    for start in range(0, len(tiles), 2):
        for column, draw in zip(st.columns(2, gap="large"), tiles[start : start + 2], strict=False):
            with column:
                draw()
    if "channels" not in made:
        st.caption("No channel of these models is dead or explodes on these pictures.")


def _draw_chart(name: str, one: Chart) -> None:
    from vizlib.figures.charts import CONFIG

    st.subheader(one.text.title, anchor=False, help=formatting.plain(one.text.exactly))
    st.markdown(one.text.look)
    st.plotly_chart(one.figure, key=f"compare.chart.{name}", config=CONFIG, alt=one.text.title)
    reasons = "".join(f"{formatting.plain(reason)} " for reason in one.missing)
    st.caption(f"{reasons}[{one.text.paper}]({one.text.link}).")


def _draw_fields(found: Comparison) -> None:
    from vizlib.compare.pictures import receptive_field_rows

    st.subheader("What a layer's middle takes in", anchor=False)
    st.markdown("The input's pixels by how much they move the middle of a layer: the root of the weights, so that the weak ones are seen.")
    for one in receptive_field_rows(found):
        st.markdown(f"**{formatting.plain(one.title)}**")
        st.image([image for _, image in one.images], [caption for caption, _ in one.images], width=_FIELD, output_format="PNG")


def draw_why(found: Comparison, wish: ComparisonRequest, shown: Example, both: tuple[int, int], view: View) -> LogitAttributions | None:
    """Why two models answer differently; what was attributed, for the report."""
    from vizlib.compare.pictures import difference_rows

    _open(about.DIFFERENCE)
    different = found.missing.get(f"classes {both[0]} {both[1]}")
    if different:
        st.info(different, icon=":material/block:")
        return None
    place = found.images.index(shown.name)
    goals = {}
    for name, model in zip(("first", "second"), both, strict=True):
        answers = found.models[model].answers
        assert answers is not None  # noqa: S101  models with the same classes have some
        goals[name] = (int(answers[place]), f"{shown.answers[model][0][0]}, the answer of {found.models[model].name}")
    if goals["first"][0] == goals["second"][0]:
        target = goals["first"][0]
        st.markdown(f"Both answer **{formatting.plain(shown.answers[both[0]][0][0])}**: the map says why one is surer of it.")
    else:
        st.segmented_control("The class", list(goals), key=view.of, format_func=lambda name: goals[name][1], required=True)
        target = goals[st.session_state[view.of]][0]
    job = comparison_jobs.submit_attributions(wish, shown, target, [number in both for number in range(len(found.models))])
    job_slots.wait_for([job])
    why = job_slots.result_or_status("compare.why", job)
    if why is None:
        return None
    for row in difference_rows(comparison_jobs.two_of(found, comparison_jobs.explained(shown, why), *both)):
        for column, (caption, image) in zip(st.columns(3, gap="medium"), row.images, strict=True):
            column.image(_png(image), caption, width="stretch", output_format="PNG")
        st.markdown(formatting.plain(row.note))
    _close(about.DIFFERENCE)
    return why


def draw_files(found: Comparison, wish: ComparisonRequest, shown: Example | None, why: LogitAttributions | None) -> None:
    """The comparison to take away."""
    stem = "-".join(["compare", *(model.name for model in found.models)])
    html = partial(comparison_jobs.to_html, found, shown, why)
    files: list[tuple[str, str, str, Callable[[], Any], str, str]] = [
        ("Report", "html", "text/html", html, "description", "The whole comparison as one page that needs no network."),
        ("NPZ", "npz", "application/octet-stream", partial(comparison_jobs.to_npz, found), "data_array", "Every array, by name."),
        ("CSV", "csv", "text/csv", partial(comparison_jobs.to_csv, found, "layers"), "table", "One line for each layer of each model."),
    ]
    if found.cka:
        files.append(
            ("CKA as CSV", "cka.csv", "text/csv", partial(comparison_jobs.to_csv, found, "cka"), "table", "One line for each cell.")
        )
    st.header("Take it with you", anchor=False)
    with st.container(horizontal=True):
        for label, end, kind, make, icon, help_ in files:
            st.download_button(
                label, make, f"{stem}.{end}", kind, key=f"compare.{end}", icon=f":material/{icon}:", on_click="ignore", help=help_
            )
    with st.expander("Use it from Python, or from the command line", icon=":material/code:"):
        st.code(comparison_jobs.snippet(wish), language="python", wrap_lines=True)
        st.markdown("On the command line, over a folder `photos` of yours:")
        st.code(comparison_jobs.command(wish), language="bash", wrap_lines=True)


def _draw_pairs(
    name: str, found: Comparison, shown: Example, pairs: list[tuple[End, End]], view: dict[str, Any], *, single: bool = False,
    take: Callable[[], None] | None = None,
) -> None:  # fmt: skip
    """The component; its message is made again only for other layers, or a view that the browser does not have already."""
    state = st.session_state
    held = state.setdefault(f"compare.held.{name}", {"token": None, "view": None, "message": b"", "made": 0})
    token = (id(found), shown.name, tuple(pairs))

    def taken() -> None:
        if take is not None:
            take()
            held["view"] = {part: state[f"compare.{part}"] for part in view}

    if held["token"] != token or held["view"] != view:
        made = held["made"] + 1
        held |= {
            "token": token,
            "view": view,
            "made": made,
            "of": found,
            "message": pack_layer_pair(found, shown, pairs, view | {"made": made}, single),
        }
    layer_pair(held["message"], key=f"compare.{name}", on_change=taken)


def _thumbnails(found: Comparison) -> dict[str, Picture]:
    """The pictures that can be looked at, each shrunk once."""
    held = st.session_state.setdefault("compare.thumbnails", {"of": None, "pictures": {}})
    if held["of"] is not found:
        held |= {"of": found, "pictures": {one.name: Picture(one.name, one.name, one.picture, "") for one in found.shown}}
    return held["pictures"]


def _take_look(view: View) -> None:
    chosen = st.session_state["compare.gallery"].pick
    if chosen is not None:
        st.session_state[view.look] = chosen


def _cell(found: Comparison, both: tuple[int, int], view: View, reading: str, kernel: str) -> tuple[End, End]:
    """The two layers of the chosen cell; where none of these models is chosen, the two most alike."""
    text = st.session_state[view.cell]
    if text:
        models, layers = ([int(number) for number in part.split(".")] for part in text.split("-"))
        known = all(model in both for model in models)
        if known and all(layer < len(found.models[model].layers) for model, layer in zip(models, layers, strict=True)):
            return (models[0], layers[0]), (models[1], layers[1])
    value = found.between(*both, reading, kernel).value
    row, column = divmod(int(value.argmax()), value.shape[1])
    return (both[0], row), (both[1], column)


def _take_cell(view: View, key: str, rows: int, columns: int) -> None:
    points = st.session_state[key].selection.points
    if points:
        st.session_state[view.cell] = f"{rows}.{columns}-{round(points[0]['y'])}.{round(points[0]['x'])}"


def _open(one: ChartText, title: str = "") -> None:
    st.header(title or one.title, anchor=False)
    st.markdown(one.look)


def _close(one: ChartText) -> None:
    st.caption(f"{formatting.plain(one.exactly)} [{one.paper}]({one.link}).")


def _png(image: np.ndarray) -> bytes:
    from vizlib.figures.overlay import encode_png

    return encode_png(image)


def _cell_text(text: str) -> str:
    models, _, layers = text.partition("-")
    for part in (models, layers):
        numbers = [int(number) for number in part.split(".")]
        if len(numbers) != 2 or min(numbers) < 0:
            raise ValueError(text)
    return text


def _whole(text: str) -> int:
    value = int(text)
    if value < -1:
        raise ValueError(text)
    return value


def _place(text: str) -> str:
    side, y, x = text.split(",")
    if side not in ("0", "1") or not (0 <= float(y) <= 1 and 0 <= float(x) <= 1):
        raise ValueError(text)
    return text
