"""How alike maps are, as a reader finds it written in a cell and beside the pointer."""

from __future__ import annotations

import numpy as np

from vizlib.figures.attribution_charts import agreement_map, removal_curve


def test_what_is_below_0_has_a_minus_and_only_the_same_order_is_1():
    values = np.array([[1.0, -0.126, np.nan], [-0.126, 0.9961, -0.004], [np.nan, -0.004, -1.0]])
    heat = agreement_map(values, ["A", "B", "C"]).data[0]
    assert [list(row) for row in heat.text] == [["1", "\u2212.13", ""], ["\u2212.13", "\u22481", "0"], ["", "0", "\u22121"]]
    hover = [words for row in heat.customdata for words in row]
    assert hover[1] == "A<br>B<br><b>rank correlation \u22120.13</b>"
    assert "-" not in "".join(hover)
    assert hover[5].endswith("rank correlation 0.00</b>")
    assert hover[2] == "A<br>C<br><b>a constant map has no ranks</b>"


def test_the_probability_of_a_class_that_is_hardly_seen_has_ticks_of_its_own():
    share = np.linspace(0, 1, 5)
    for top, tick, read in ((0.9, ".0~%", "%{y:.1%}"), (0.04, ".1~%", "%{y:.2%}"), (0.0003, ".3~%", "%{y:.4%}"), (0.0, ".0~%", "%{y:.1%}")):
        curve = top * share
        figure = removal_curve(share, (curve, curve / 2, curve), (curve, curve), curve / 2, "A map", insert=True)
        assert figure.layout.yaxis.tickformat == tick
        assert read in figure.data[-1].hovertemplate


def test_numbers_can_be_read_on_every_colour():
    heat = agreement_map(np.eye(3), ["A", "B", "C"]).data[0]
    assert heat.textfont.color == "#000000"
    for _, colour in heat.colorscale:
        parts = np.array([int(part) for part in colour[4:-1].split(",")]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        assert (linear @ [0.2126, 0.7152, 0.0722] + 0.05) / 0.05 >= 4.5  # WCAG 2.2, 1.4.3
