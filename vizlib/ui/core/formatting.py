"""Numbers and references as a visitor reads them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from vizlib.figures.numbers import percent
from vizlib.ui.core.pictures import imports_of
from vizlib.ui.core.user_model_card import UserModelCard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vizlib.zoo.cards import ModelCard

WORD_JOINER = "\u2060"
_MARKED = re.compile(r"[\\`*\[\]~$<|]|(?<=\])\(|(?<![^\W_])_|_(?![^\W_])|:(?=[\w/:+])|&(?=[#\w])")
_BEGINS_A_BLOCK = re.compile(r"^(\s*\d*)([-+#>=.)])")
_TAKEN_FOR_MORE = re.compile(r":(?=material/|[\w+-]+\\?:|//)|\bwww(?=\.)|@(?=\w)", re.IGNORECASE)
BYTES_PER_WEIGHT = 4  # models run in float32


def seconds(value: float) -> str:
    """A time with two digits."""
    return f"{value * 1000:.0f}\u00a0ms" if value < 0.95 else f"{value:.1f}\u00a0s"


def megabytes(card: ModelCard) -> str:
    """What a model's weights take."""
    return megabytes_of(card.parameters)


def megabytes_of(parameters: int) -> str:
    """What so many weights take."""
    return f"{parameters * BYTES_PER_WEIGHT / 1e6:.0f}\u00a0MB"


def million(count: int) -> str:
    """A number of parameters."""
    return f"{count / 1e6:.1f}\u00a0M"


def linked(reference: str) -> str:
    """A reference that ends in its address, as a Markdown link."""
    match = re.fullmatch(r"(.*?),? (https?://\S+)", reference)
    return f"[{match[1]}]({match[2]})" if match else reference


def plain(text: str) -> str:
    """A text in which Markdown finds nothing to format: names of files may hold anything. What means nothing to Markdown stays as it is.

    Streamlit looks for icons, emoji and addresses in what Markdown left as text: there a character without width comes in between.
    """
    escaped = _MARKED.sub(r"\\\g<0>", " ".join(text.split("\n")))
    escaped = _BEGINS_A_BLOCK.sub(r"\1\\\2", escaped)
    return _TAKEN_FOR_MORE.sub(lambda match: match[0] + WORD_JOINER, escaped)


def facts(card: ModelCard) -> str:
    """One short line about a model."""
    side = "\u00a0×\u00a0".join(map(str, reversed(card.input_size)))
    name = plain(card.architecture) if isinstance(card, UserModelCard) else card.name
    return f"{name} · {million(card.parameters)}\u00a0parameters · input {side}\u00a0px{_activation(card)}"


def _activation(card: ModelCard) -> str:
    """How its logits become probabilities, where it has classes."""
    if "head" in card.refusals:
        return ""
    words = {"identity": "probabilities as they are", None: "softmax, as nothing says otherwise"}
    return f" · {words.get(card.activation, card.activation)}"


def about(card: ModelCard) -> str:
    """The rest that is known of a model: accuracy, paper, licence, where its weights are and what to know of them."""
    parts = [f"**{plain(card.title)}.** {linked(card.paper)}." if card.paper else f"**{plain(card.title)}.**"]
    if card.accuracy is not None:
        accuracy = card.accuracy
        images = f" of {accuracy.images:,} images" if accuracy.images else ""
        source = "" if accuracy.measured else ", as its authors report"
        parts.append(f"Its first answer is right for {percent(accuracy.top1)}{images} ({accuracy.data}){source}.")
    weights = f"[Its weights]({card.url}) are {card.wrapping}." if card.url else ""
    prepared = f"Pictures come to it with the {card.preprocessing}." if card.preprocessing.startswith("short") else ""
    return " ".join(
        [
            *parts,
            f"{plain(card.licence.rstrip('.')) if isinstance(card, UserModelCard) else card.licence.rstrip('.')}.",
            *(text for text in (weights, prepared, card.note) if text),
        ]
    )


def snippet(
    card: ModelCard,
    code: str,
    method: str,
    target: Any,
    fit: str | None,
    options: Mapping[str, Any],
    opacity: float,
    colormap: str,
    *,
    like: str = "",
) -> str:
    """The Python that gives the map on the page; ``code`` is the expression that ``vizlib.read_image`` takes.

    ``like`` is such an expression too, of a picture whose likeness is explained.
    """
    packages = imports_of(code, like)
    imports = f"{packages}\nimport vizlib" if packages else "import vizlib"
    given = {"method": method} | ({} if target is None else {"target": target}) | ({} if fit is None else {"fit": fit}) | dict(options)
    arguments = "".join(f", {name}={_literal(value)}" for name, value in given.items())
    if like:
        fitted = "" if fit is None else f", fit={_literal(fit)}"
        arguments += f", target=vizlib.similar_to({like}{fitted})"
    return (
        f"{imports}\n\n"
        f"model = {loading_code(card)}\n"
        f"image = vizlib.read_image({code})\n"
        "for prediction in vizlib.predict(model, image):\n"
        '    print(f"{prediction.probability:.1%} {prediction.label}")\n\n'
        f"explanation = vizlib.explain(model, image{arguments})\n"
        f"explanation.input_map  # float64, one value for each pixel of the model's input\n"
        f'explanation.png("map.png", opacity={opacity!r}, colormap={_literal(colormap)})\n'
    )


def loading_code(card: ModelCard | str) -> str:
    """The Python that loads a model, given by its card or its name."""
    if not isinstance(card, UserModelCard):
        return f"vizlib.load({_literal(card if isinstance(card, str) else card.name)})"
    if card.path is None:
        return f"vizlib.load_code({_literal(card.source_name)})"
    folder = card.path.is_dir()
    given = [_literal(card.source_name)] if folder else [_literal(card.architecture), f"checkpoint={_literal(card.source_name)}"]
    if card.size is not None:
        given.append(f"image_size={card.size}")
    if card.given_activation is not None:
        given.append(f"activation={_literal(card.given_activation)}")
    if card.labels_name:
        lines = f'open({_literal(card.labels_name)}, encoding="utf-8-sig")'
        given.append(f"labels=[line.strip() for line in {lines} if line.strip()]")
    return f"vizlib.load({', '.join(given)})"


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
