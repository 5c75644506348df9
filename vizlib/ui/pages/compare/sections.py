"""The parts of the page of comparisons: findings, CKA, layers side by side, measures along depth, the difference, files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from vizlib.analysis.features.layer_alignment import WAYS
from vizlib.compare import text as about
from vizlib.compare.result import NEEDS
from vizlib.figures.layer_names import layer_title
from vizlib.figures.numbers import decimal, percent
from vizlib.ui.components.image_gallery import image_gallery
from vizlib.ui.components.layer_pair import layer_pair
from vizlib.ui.core import formatting
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.component_state import component_state
from vizlib.ui.core.contents import heading
from vizlib.ui.core.pictures import Picture
from vizlib.ui.core.url_state import one_of, resend
from vizlib.ui.core.words import draw_text
from vizlib.ui.pages.compare import comparison_jobs
from vizlib.ui.pages.compare.comparison_jobs import ComparisonRequest
from vizlib.ui.pages.compare.layer_pair_data import pack_layer_pair
from vizlib.ui.widgets.claim_card import draw_claims
from vizlib.ui.widgets.downloads import download_button, file_stem
from vizlib.ui.widgets.snippet import draw_snippet

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.compare.charts import Chart
    from vizlib.compare.result import Comparison, Example
    from vizlib.compare.text import ChartText
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.compare.comparison_work import LogitAttributions
    from vizlib.ui.pages.compare.layer_pair_data import End
    from vizlib.ui.sections.picture_set import PictureSet

KINDS = {f"{reading}/{kernel}": f"{words}, {kernel}" for reading, words in about.READINGS.items() for kernel in ("linear", "rbf")}
_WAYS = {"depth": "by depth", "stride": "by stride", "cka": "by best CKA"}
_FIELDS = (  # four receptive fields are beside one another on a telephone too, and no larger than can be told from one another
    "<style>.fields { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 0.6rem; max-width: 44rem; } "
    ".fields figure { margin: 0; } .fields img { width: 100%; display: block; image-rendering: pixelated; border-radius: 6px; } "
    ".fields figcaption { font-size: 0.8rem; line-height: 1.35; margin-top: 0.3rem; }</style>"
)
_MAP_WIDTH = 296  # pixels of a heat map: one on a telephone, two at 1024 px, three at 1440
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
    example: str
    of: str
    layers: dict[str, Any]
    take: Callable[[], None]

    @classmethod
    def of_address(cls, url_state: UrlState, request: ComparisonRequest) -> View:
        """Every part of the page's address that a widget of these sections holds."""
        layers, take = component_state(
            url_state, "compare.layers", {"show": _SHOWS}, {"layer": (-1, _whole), "place": ("0,0.5,0.5", _place)}
        )
        return cls(
            url_state.declare("pair", _PAIRS[0], one_of(_PAIRS)),
            url_state.declare("cka", "tokens/linear", one_of(tuple(KINDS))),
            url_state.declare("cell", "", _cell_text),
            url_state.declare("way", "depth", one_of(tuple(WAYS))),
            url_state.declare("look", next(iter(request.pictures.pictures), ""), str, linked=bool(request.pictures.samples)),
            url_state.declare("of", "first", one_of(("first", "second"))),
            layers,
            take,
        )


def draw_page(models: list[ModelChoice], pictures: PictureSet, fit: str | None, url_state: UrlState) -> None:
    """Every section, as far as its numbers are there."""
    request = ComparisonRequest(tuple(models), pictures, fit)
    view = View.of_address(url_state, request)
    if len(models) < 2:
        st.info("Choose two models or more: a comparison takes two to four.", icon=":material/touch_app:")
        return
    if not len(pictures):
        st.info("Choose at least one picture above, or add your own.", icon=":material/touch_app:")
        return
    comparison = comparison_jobs.comparison_or_status(request)
    if comparison is None:
        return
    draw_findings(comparison)
    both = pick_pair(comparison, view)
    shown = pick_shown(comparison, view)
    if shown is not None:
        draw_layers(comparison, shown, both, view)
    draw_cka(comparison, shown, both, view)
    draw_charts(comparison)
    why = draw_why(comparison, request, shown, both, view) if shown is not None else None
    draw_files(comparison, request, shown, why)


def pick_pair(comparison: Comparison, view: View) -> tuple[int, int]:
    """The two models that are looked at closely, of all that are compared."""
    count = len(comparison.models)
    pairs = {f"{first}-{second}": (first, second) for first, second in combinations(range(count), 2)}
    if st.session_state[view.pair] not in pairs:
        st.session_state[view.pair] = _PAIRS[0]
    if count == 2:
        return 0, 1
    names = [model.display_name for model in comparison.models]
    chosen = st.selectbox(
        "Two of them closely", list(pairs), key=resend(view.pair),
        format_func=lambda pair: " and ".join(names[model] for model in pairs[pair]),
        help="Layers, pictures and answers are set side by side for two models; the charts along depth have all of them.",
    )  # fmt: skip
    return pairs[chosen]


def draw_findings(comparison: Comparison) -> None:
    """What was measured, in sentences; what papers claim of it, and whether it is so; and what was left out."""
    from vizlib.compare.findings import findings

    what = findings(comparison)
    lines = [f"- {formatting.plain(finding.text)}" for finding in what]
    count = len(comparison.images)
    heading("What was found")
    st.markdown("\n".join(lines[:_OPEN]))
    if len(lines) > _OPEN:
        with st.expander(f"{len(lines) - _OPEN} more", icon=":material/list:"):
            st.markdown("\n".join(lines[_OPEN:]))
    pictures = "one picture" if count == 1 else f"{count} pictures"
    claims = [finding.claim for finding in what if finding.claim is not None]
    if claims:
        heading("What papers claim, and whether it is so here", sub=True)
        draw_claims(claims)
    intervals = "; intervals are of 95 %, by drawing pictures again" if count >= NEEDS["verdict"] else ""
    case = " A claim of a paper holds for its models and data; these models and pictures are a case, not a proof." if claims else ""
    st.caption(f"Measured on {pictures}{_few_fields(comparison)} in {formatting.seconds(comparison.seconds)}{intervals}.{case}")
    if comparison.skipped:
        listed = "\n".join(f"- **{formatting.plain(name)}**: {formatting.plain(why)}" for name, why in comparison.skipped)
        st.warning(f"Left out of all that is shown:\n{listed}", icon=":material/broken_image:")


def _few_fields(comparison: Comparison) -> str:
    """Of how many pictures the receptive fields are, where not of all."""
    fields, count = comparison.settings["fields"], len(comparison.images)
    return f", receptive fields on the first {fields}," if fields < count else ""


def pick_shown(comparison: Comparison, view: View) -> Example | None:
    """The picture whose layers are looked at."""
    names = [example.name for example in comparison.shown]
    if not names:
        return None
    if st.session_state[view.example] not in names:
        st.session_state[view.example] = names[0]
    if len(names) > 1:
        image_gallery(
            _thumbnails(comparison), st.session_state[view.example], key="compare.gallery", on_pick=here(partial(_take_example, view))
        )
    if len(comparison.images) > len(names):
        st.caption(f"Layers can be looked at for the first {len(names)} of {len(comparison.images)} pictures.")
    return next(example for example in comparison.shown if example.name == st.session_state[view.example])


def draw_cka(comparison: Comparison, shown: Example | None, both: tuple[int, int], view: View) -> None:
    """Which layers hold the same, as heat maps; a click on a cell shows its two layers."""
    from vizlib.compare.charts import cka_chart
    from vizlib.figures.charts import CONFIG
    from vizlib.figures.comparison_charts import clickable, room_for_names, without_scale

    _open(about.CKA)
    few = "cka" in comparison.missing
    st.segmented_control(
        "CKA of",
        list(KINDS),
        key=resend(view.kind),
        format_func=KINDS.__getitem__,
        required=True,
        disabled=few,
        label_visibility="collapsed",
        wrap=True,
    )
    if few:
        st.info(comparison.missing["cka"], icon=":material/photo_library:")
        return
    reading, kernel = st.session_state[view.kind].split("/")
    first, second = both
    ends = _cell(comparison, both, view, reading, kernel)
    side_by_side = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    layers = [layer_title(layer.name) for model in both for layer in comparison.models[model].layers]
    for rows, columns in ((first, second), (first, first), (second, second)):
        chosen = (ends[0][1], ends[1][1]) if (ends[0][0], ends[1][0]) == (rows, columns) else None
        key = f"compare.cka.{rows}.{columns}"
        figure = room_for_names(clickable(cka_chart(comparison, rows, columns, reading, kernel), chosen), layers)
        if (rows, columns) != both:  # one scale is enough for three maps
            without_scale(figure)
        with side_by_side.container(width=_MAP_WIDTH):
            st.plotly_chart(
                figure, key=key, config=CONFIG, selection_mode="points",
                on_select=here(partial(_take_cell, view, key, rows, columns)),
            )  # fmt: skip
    batches = comparison.between(first, second, reading, kernel).batches
    interval = comparison.missing.get("interval") or about.minibatches(batches)
    st.caption(f"{interval} {about.by_chance(reading, len(comparison.images), batches)}".rstrip())
    if shown is not None:
        names = [
            f"**{formatting.plain(layer_title(measures.layers[layer].name))}** of {formatting.plain(measures.display_name)}"
            for measures, layer in ((comparison.models[model], layer) for model, layer in ends)
        ]
        value = float(comparison.between(ends[0][0], ends[1][0], reading, kernel).value[ends[0][1], ends[1][1]])
        alike = f"CKA {decimal(value)}" if np.isfinite(value) else "no CKA, for one of them is the same in all pictures"
        st.markdown(f"The framed cell: {names[0]} and {names[1]}, {alike}. Click another to see its two layers here.")
        _draw_pairs("cell", comparison, shown, [ends], {"show": "colours", "layer": 0, "place": "0,0.5,0.5"}, single=True)
    _close(about.CKA)


def draw_layers(comparison: Comparison, shown: Example, both: tuple[int, int], view: View) -> None:
    """Aligned layers of two models on one picture, and which of their places are alike."""
    _open(about.CORRESPONDENCE, "Layer beside layer")
    few = "cka" in comparison.missing
    by_cka = not few and np.isfinite(comparison.between(*both).value).all()
    if not by_cka and st.session_state[view.way] == "cka":
        st.session_state[view.way] = "depth"
    ways = [way for way in WAYS if by_cka or way != "cka"]
    st.segmented_control(
        "Beside one another", ways, key=resend(view.way), format_func=_WAYS.__getitem__, required=True,
        help="; ".join(f"{_WAYS[way]}: {text}" for way, text in WAYS.items()) + ".", wrap=True,
    )  # fmt: skip
    if st.session_state[view.way] == "cka":
        st.caption(f"By the CKA of {KINDS['/'.join(next(iter(comparison.cka)))]}, whichever is shown below.")
    if not by_cka:
        st.caption(f"By best CKA needs at least {NEEDS['cka']} pictures{'' if few else ' that differ in every layer'}.")
    first, second = both
    pairs: list[tuple[End, End]] = [
        ((first, row), (second, column)) for row, column in comparison.aligned(st.session_state[view.way], *both)
    ]
    answers = [
        f"{formatting.plain(comparison.models[model].display_name)} answers **{formatting.plain(shown.answers[model][0][0])}** "
        f"({percent(shown.answers[model][0][1])})"
        for model in both
        if shown.answers[model]
    ]
    if answers:
        st.markdown(f"{formatting.plain(shown.name)}: {'; '.join(answers)}.")
    _draw_pairs("layers", comparison, shown, pairs, view.layers, take=view.take)
    _close(about.CORRESPONDENCE)


def draw_charts(comparison: Comparison) -> None:
    """The measures along depth, all models in each."""
    from vizlib.compare.charts import charts

    drawn = charts(comparison)
    tiles: list[Callable[[], None]] = [partial(_draw_chart, name, chart) for name, chart in drawn.items()]
    tiles.insert(1, partial(_draw_fields, comparison))  # beside how far each layer looks
    heading("From the first layer to the last")
    for start in range(0, len(tiles), 2):
        for column, draw in zip(st.columns(2, gap="large"), tiles[start : start + 2], strict=False):
            with column:
                draw()
    if "channels" not in drawn:
        st.caption("No channel of these models is dead or explodes on these pictures.")


def _draw_chart(name: str, chart: Chart) -> None:
    from vizlib.figures.charts import CONFIG

    st.subheader(chart.text.title, anchor=False, help=formatting.plain(chart.text.exactly))
    st.markdown(chart.text.hint)
    st.plotly_chart(chart.figure, key=f"compare.chart.{name}", config=CONFIG, alt=chart.text.title)
    reasons = "".join(f"{formatting.plain(reason)} " for reason in chart.missing)
    st.caption(f"{reasons}[{chart.text.paper}]({chart.text.link}).")


def _draw_fields(comparison: Comparison) -> None:
    from vizlib.compare.pictures import receptive_field_rows
    from vizlib.figures.html_page import escaped, png_address

    heading("What a layer's middle takes in", sub=True)
    st.markdown(
        "The input's pixels by how much they move the middle of a layer: the root of the weights, so that the weak ones are seen, each "
        "picture up to its own largest. The reach is how far from the middle they lie, in the mean."
    )
    st.html(_FIELDS)
    for row in receptive_field_rows(comparison):
        st.markdown(f"**{formatting.plain(row.title)}**")
        figures = ""
        for caption, image in row.images:
            layer, _, reach = map(escaped, caption.rpartition(": "))
            words = f"{layer}<br>{reach}".replace(" px", "\u00a0px")
            figures += f'<figure><img alt="{layer}" src="{png_address(image)}"><figcaption>{words}</figcaption></figure>'
        st.html(f"<div class='fields'>{figures}</div>")


def draw_why(
    comparison: Comparison, request: ComparisonRequest, shown: Example, both: tuple[int, int], view: View
) -> LogitAttributions | None:
    """Why two models answer differently; what was attributed, for the report."""
    from vizlib.compare.pictures import difference_rows

    _open(about.DIFFERENCE)
    different = comparison.missing.get(f"classes {both[0]} {both[1]}")
    if different:
        st.info(different, icon=":material/block:")
        return None
    place = comparison.images.index(shown.name)
    goals = {}
    for name, model in zip(("first", "second"), both, strict=True):
        answers = comparison.models[model].answers
        assert answers is not None  # noqa: S101  models with the same classes have some
        goals[name] = (int(answers[place]), f"{shown.answers[model][0][0]}, the answer of {comparison.models[model].display_name}")
    if goals["first"][0] == goals["second"][0]:
        target = goals["first"][0]
        st.markdown(_surer_words(comparison, shown, both))
    else:
        st.segmented_control(
            "The class",
            list(goals),
            key=resend(view.of),
            format_func=lambda name: formatting.plain(goals[name][1]),
            required=True,
            wrap=True,
        )
        target = goals[st.session_state[view.of]][0]
    why = comparison_jobs.attributions_or_status(request, shown, target, [number in both for number in range(len(comparison.models))])
    if why is None:
        return None
    for row in difference_rows(comparison_jobs.two_of(comparison, comparison_jobs.explained(shown, why), *both)):
        for warning in row.warnings:
            st.warning(f"{formatting.plain(warning)} The map is drawn faintly.", icon=":material/warning:")
        for column, (caption, image) in zip(st.columns(3, gap="medium"), row.images, strict=True):
            column.image(_png(image), caption, width="stretch", output_format="PNG")
        st.markdown(formatting.plain(row.note))
    _close(about.DIFFERENCE)
    return why


def _surer_words(comparison: Comparison, shown: Example, both: tuple[int, int]) -> str:
    """Who is surer of an answer that both give."""
    names = [formatting.plain(comparison.models[model].display_name) for model in both]
    (label, first), (_, second) = (shown.answers[model][0] for model in both)
    digits = None if percent(first) != percent(second) else 1
    said = [percent(share, digits) for share in (first, second)]
    if said[0] == said[1]:
        return f"Both answer **{formatting.plain(label)}**, equally sure of it ({said[0]})."
    surer, other = (0, 1) if first > second else (1, 0)
    return f"Both answer **{formatting.plain(label)}**; {names[surer]} is surer of it ({said[surer]}) than {names[other]} ({said[other]})."


def draw_files(comparison: Comparison, request: ComparisonRequest, shown: Example | None, why: LogitAttributions | None) -> None:
    """The comparison to take away."""
    stem = file_stem("compare", *(model.name for model in comparison.models))
    html = partial(comparison_jobs.to_html, comparison, shown, why)
    table = partial(comparison_jobs.table_csv, comparison)
    heading("Take it with you")
    with st.container(horizontal=True):
        download_button(f"{stem}.html", html, key="compare.html", hint="The whole comparison as one page that needs no network.")
        download_button(f"{stem}.npz", partial(comparison_jobs.arrays_npz, comparison), key="compare.npz", hint="Every array, by name.")
        download_button(f"{stem}.csv", partial(table, "layers"), key="compare.csv", hint="One line for each layer of each model.")
        if comparison.cka:
            download_button(
                f"{stem}.cka.csv", partial(table, "cka"), key="compare.cka.csv", label="CKA as CSV", hint="One line for each cell."
            )
    draw_snippet(
        comparison_jobs.snippet(request),
        title="Use it from Python, or from the command line",
        command=comparison_jobs.command(request),
    )


def _draw_pairs(
    name: str, comparison: Comparison, shown: Example, pairs: list[tuple[End, End]], view: dict[str, Any], *, single: bool = False,
    take: Callable[[], None] | None = None,
) -> None:  # fmt: skip
    """The component; its message is made again only for other layers, or a view that the browser does not have already."""
    state = st.session_state
    sent = state.setdefault(f"compare.sent.{name}", {"token": None, "view": None, "message": b"", "made": 0})
    token = (id(comparison), shown.name, tuple(pairs))

    def taken() -> None:
        if take is not None:
            take()
            sent["view"] = {part: state[f"compare.{part}"] for part in view}

    if sent["token"] != token or sent["view"] != view:
        count = sent["made"] + 1
        sent |= {
            "token": token,
            "view": view,
            "made": count,
            "of": comparison,
            "message": pack_layer_pair(comparison, shown, pairs, view | {"made": count}, single),
        }
    layer_pair(sent["message"], key=f"compare.{name}", on_change=here(taken))


def _thumbnails(comparison: Comparison) -> dict[str, Picture]:
    """The pictures that can be looked at, each shrunk once."""
    thumbnails = st.session_state.setdefault("compare.thumbnails", {"of": None, "pictures": {}})
    if thumbnails["of"] is not comparison:
        pictures = {example.name: Picture(example.name, example.name, example.picture, "") for example in comparison.shown}
        thumbnails |= {"of": comparison, "pictures": pictures}
    return thumbnails["pictures"]


def _take_example(view: View) -> None:
    chosen = st.session_state["compare.gallery"].pick
    if chosen is not None:
        st.session_state[view.example] = chosen


def _cell(comparison: Comparison, both: tuple[int, int], view: View, reading: str, kernel: str) -> tuple[End, End]:
    """The two layers of the chosen cell; where none of these models is chosen, the two most alike."""
    text = st.session_state[view.cell]
    if text:
        models, layers = ([int(number) for number in part.split(".")] for part in text.split("-"))
        if tuple(models) == both[::-1]:  # drawn the other way round
            models, layers = models[::-1], layers[::-1]
        there = all(model in both for model in models)
        if there and all(layer < len(comparison.models[model].layers) for model, layer in zip(models, layers, strict=True)):
            return (models[0], layers[0]), (models[1], layers[1])
    value = comparison.between(*both, reading, kernel).value
    row, column = divmod(int(np.where(np.isfinite(value), value, -np.inf).argmax()), value.shape[1])
    return (both[0], row), (both[1], column)


def _take_cell(view: View, key: str, rows: int, columns: int) -> None:
    points = st.session_state[key].selection.points
    if points:
        st.session_state[view.cell] = f"{rows}.{columns}-{round(points[0]['y'])}.{round(points[0]['x'])}"


def _open(text: ChartText, title: str = "") -> None:
    heading(title or text.title)
    draw_text(text.hint)


def _close(text: ChartText) -> None:
    st.caption(f"{formatting.plain(text.exactly)} [{text.paper}]({text.link}).")


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
