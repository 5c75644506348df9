"""What a report calls the models and methods of an audit: their titles, where its files and links have their own names."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vizlib.catalog.methods import METHODS
from vizlib.figures.charts import COLOURS
from vizlib.figures.model_marks import marks_of, short_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class ShownNames:
    """By the names that rows have: what a reader sees of ``models`` and ``methods``, and the ``colours`` of models."""

    models: dict[str, str]
    methods: dict[str, str]
    colours: dict[str, str]

    @property
    def in_files(self) -> list[str]:
        """Which name of the files each title stands for, where the two differ."""
        both = [*self.models.items(), *self.methods.items()]
        return [f"{title} is {name}" for name, title in both if title != name]

    def told(self, text: str) -> str:
        """A sentence of the library, such as an error, with the titles of the models that it names."""
        names = [re.escape(name) for name, title in self.models.items() if title != name]
        return re.sub(rf"(?<![\w=-])({'|'.join(names)})(?![\w=-])", lambda found: self.models[found[1]], text) if names else text


def shown_names(facts: Mapping[str, Any]) -> ShownNames:
    """Of an audit by the facts of its manifest. Those that would be called the same keep their names."""
    models = [model["name"] for model in facts["models"]]
    methods = facts["methods"]
    # More models than colours, as of a run's epochs, would share them without being the same: these have none of their own.
    colours = {name: mark.colour for name, mark in zip(models, marks_of(models), strict=True)} if len(models) <= len(COLOURS) else {}
    return ShownNames(
        _apart(models, [short_name(name) for name in models]),
        _apart([method["name"] for method in methods], [_method_words(method) for method in methods]),
        colours,
    )


def method_title(name: str) -> str:
    """The title of a method; of one that this version does not have, its name."""
    return METHODS[name].title if name in METHODS else name


def _method_words(method: Mapping[str, Any]) -> str:
    """Its title, and the options that are not the usual ones."""
    title = method_title(method["method"])
    usual = {option.name: option.default for option in METHODS[method["method"]].options} if method["method"] in METHODS else {}
    given = [f"{name} {value}" for name, value in method["options"].items() if name not in usual or value != usual[name]]
    return f"{title} ({', '.join(given)})" if given else title


def _apart(names: Sequence[str], titles: Sequence[str]) -> dict[str, str]:
    often = Counter(titles)
    return {name: title if often[title] == 1 else name for name, title in zip(names, titles, strict=True)}
