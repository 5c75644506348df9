"""The formula of every quantity of a step, in LaTeX."""

from __future__ import annotations

SCORES = {
    "dot": r"s_i = q^\top k_i",
    "scaled_dot": r"s_i = \frac{q^\top k_i}{\sqrt{d}}",
    "general": r"s_i = q^\top W k_i",
    "concat": r"s_i = v^\top \tanh(W q + U k_i)",
}
_SHARED = {
    "weights": r"a_i = \frac{\exp(s_i / \tau)}{\sum_j \exp(s_j / \tau)}",
    "context": r"c = \sum_i a_i v_i",
    "logits": r"z = V o + b",
    "probabilities": r"p(y) = \frac{\exp z_y}{\sum_{y'} \exp z_{y'}}",
}


def formulas(cell: str, score: str | None) -> dict[str, str]:
    """Quantity to LaTeX: those of a step of a model with this cell ("gru", "lstm" or "transformer") and score, in their order."""
    if cell == "transformer":
        by_quantity = {
            "query": r"q = W_Q\,\mathrm{LN}(x_t)",
            "keys": r"k_i = W_K h_i",
            "values": r"v_i = W_V h_i",
            "scores": SCORES["scaled_dot"],
            "weights": _SHARED["weights"],
            "context": _SHARED["context"],
            "combined": r"x'_t = x_t + W_O\,[c^{(1)}; \dots; c^{(H)}]",
            "output": r"o = \mathrm{LN}(x'_t + \mathrm{FFN}(\mathrm{LN}(x'_t)))",
        }
    else:
        name = r"\mathrm{GRU}" if cell == "gru" else r"\mathrm{LSTM}"
        query = {"query": rf"q = h_t = {name}(y_{{t-1}}, h_{{t-1}})"}
        if score is None:
            by_quantity = {"combined": query["query"].removeprefix("q = "), "output": r"o = \tanh(W_c h_t)"}
        else:
            states = r"[\overrightarrow{h}_i; \overleftarrow{h}_i]"
            by_quantity = query | {
                "keys": rf"k_i = {states}",
                "values": rf"v_i = k_i = {states}",
                "scores": SCORES[score],
                "weights": _SHARED["weights"],
                "context": _SHARED["context"],
                "combined": r"[c; q]",
                "output": r"o = \tanh(W_c\,[c; q])",
            }
    return by_quantity | {"logits": _SHARED["logits"], "probabilities": _SHARED["probabilities"]}
