"""How well the class of a picture can be read off each layer: a linear probe and nearest neighbours on the kept features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vizlib.stats import Estimate, wilson

if TYPE_CHECKING:
    from vizlib.auditing.result import Audit

FOLDS = 5
NEIGHBOURS = 10
MOST = 5000  # pictures, spread evenly over the set
PENALTIES = (1.0, 1e2, 1e4)


@dataclass(frozen=True)
class LayerProbe:
    """The shares of pictures whose class a linear probe and the nearest neighbours read right off the mean over cells of ``layer``, or off
    its first learned ``token``, each on pictures that it has not seen."""

    layer: str
    token: bool
    linear: Estimate
    nearest: Estimate


@dataclass(frozen=True)
class ModelProbes:
    """The probes of a ``model`` layer by layer, over ``pictures`` of ``classes`` classes, the commonest of which has the share ``chance``.

    ``missing`` says why there are none.
    """

    model: str
    probes: tuple[LayerProbe, ...] = ()
    pictures: int = 0
    classes: int = 0
    chance: float = 0.0
    missing: str = ""

    @property
    def best(self) -> LayerProbe:
        """What the linear probe reads best."""
        return max(self.probes, key=lambda probe: probe.linear[0])


def model_probes(audit: Audit) -> list[ModelProbes]:
    """One for each model; nothing where the audit was made without ``features``.

    Of classes with at least five pictures, in five folds: features are standardised, the linear probe is ridge regression on the classes
    (its penalty by leave-one-out inside the fold), neighbours are the ten nearest by the cosine (Alain and Bengio 2016; Caron et al. 2021).
    At most 5,000 pictures, spread evenly; one layer of those is in memory.
    """
    return [_of_model(audit, model) for model in audit.models] if audit.facts["features"] else []


def _of_model(audit: Audit, model: str) -> ModelProbes:
    classes = _classes(audit, model)
    if not classes:
        return ModelProbes(model, missing="No picture has a label, so there is no class to read off a layer.")
    names, counts = np.unique(list(classes.values()), return_counts=True)
    enough = set(names[counts >= FOLDS].tolist())
    chosen = sorted(picture for picture, name in classes.items() if name in enough)
    if len(enough) < 2:
        return ModelProbes(model, missing=f"Probes take two classes of at least {FOLDS} pictures.")
    chosen = [chosen[place] for place in np.linspace(0, len(chosen) - 1, min(MOST, len(chosen))).astype(int)]
    probes, truth = [], np.zeros(0, int)
    for number, layer in enumerate(audit.features(model)):
        for token in (False, True):
            rows, found = _rows(audit, model, number, chosen, classes, token=token)
            if len(rows):
                truth = found
                probes.append(LayerProbe(layer, token, *probe(rows, truth)))
    return ModelProbes(model, tuple(probes), len(truth), len(set(truth.tolist())), float(np.bincount(truth).max() / len(truth)))


def probe(features: np.ndarray, classes: np.ndarray) -> tuple[Estimate, Estimate]:
    """The shares of features (N, C) whose class (N,) a linear probe and the nearest neighbours get right in five folds, with intervals.

    Wilson's intervals take the pictures as apart; that folds share pictures to learn from makes them a little too narrow.
    """
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    near = min(NEIGHBOURS, int(np.bincount(classes)[np.unique(classes)].min()))
    shares = []
    for reader in (RidgeClassifierCV(PENALTIES), KNeighborsClassifier(near, weights="distance", metric="cosine")):
        answers = cross_val_predict(make_pipeline(StandardScaler(), reader), features.astype(np.float64), classes, cv=folds)
        right = int((answers == classes).sum())
        shares.append((right / len(classes), *wilson(right, len(classes))))
    return shares[0], shares[1]


def _classes(audit: Audit, model: str) -> dict[int, int]:
    """The data set's class of each picture that has one and could be read."""
    found: dict[int, int] = {}
    for table in audit.model_tables(model, ["picture", "class", "error"]):
        rows = table.to_pydict()
        cells = zip(rows["picture"], rows["class"], rows["error"], strict=True)
        found |= {picture: name for picture, name, error in cells if name is not None and error is None}
    return found


def _rows(
    audit: Audit, model: str, layer: int, chosen: list[int], classes: dict[int, int], *, token: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The features (n, C) of a layer and the classes (n,) of the chosen pictures that have them."""
    wanted, rows, truth = set(chosen), [], []
    for first, (features,) in audit.feature_parts(model, [layer], token=token):
        for place, values in enumerate(features):
            if first + place in wanted and not np.isnan(values).any():
                rows.append(values)
                truth.append(classes[first + place])
    return np.array(rows), np.array(truth)
