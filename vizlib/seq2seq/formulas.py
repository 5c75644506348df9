"""The formula of every quantity of a step, in LaTeX.

Names are the papers': scores e as in Bahdanau et al. (2015), W_c and W_s as in Luong et al. (2015), W_Q, W_K, W_V and W_O as in
Vaswani et al. (2017); keys are counted by j. The component that takes a step apart writes the same names.
"""

from __future__ import annotations

SCORES = {
    "dot": r"e_j = q^\top k_j",
    "scaled_dot": r"e_j = \frac{q^\top k_j}{\sqrt{d}}",
    "general": r"e_j = q^\top W k_j",
    "concat": r"e_j = v^\top \tanh(W q + U k_j)",
}
_SHARED = {
    "weights": r"a_j = \frac{\exp(e_j / \tau)}{\sum_i \exp(e_i / \tau)}",
    "context": r"c = \sum_j a_j v_j",
    "logits": r"z = W_s o + b_s",
    "probabilities": r"p_k = \frac{\exp(z_k)}{\sum_i \exp(z_i)}",
}


def formulas(cell: str, score: str | None) -> dict[str, str]:
    """Quantity to LaTeX: those of a step of a model with this cell ("gru", "lstm" or "transformer") and score, in their order."""
    if cell == "transformer":
        by_quantity = {
            "query": r"q = W_Q\,\mathrm{LN}(x_t) + b_Q",
            "keys": r"k_j = W_K h_j + b_K",
            "values": r"v_j = W_V h_j + b_V",
            "scores": SCORES["scaled_dot"],
            "weights": _SHARED["weights"],
            "context": _SHARED["context"],
            "combined": r"x'_t = x_t + W_O\,[c^{(1)}; \dots; c^{(H)}] + b_O",
            "output": r"o = \mathrm{LN}(x'_t + \mathrm{FFN}(\mathrm{LN}(x'_t)))",
        }
    else:
        name = r"\mathrm{GRU}" if cell == "gru" else r"\mathrm{LSTM}"
        query = {"query": rf"q = h_t = {name}(y_{{t-1}}, h_{{t-1}})"}
        if score is None:
            by_quantity = {"combined": query["query"].removeprefix("q = "), "output": r"o = \tanh(W_c h_t + b_c)"}
        else:
            states = r"[\overrightarrow{h}_j; \overleftarrow{h}_j]"
            by_quantity = query | {
                "keys": rf"k_j = {states}",
                "values": rf"v_j = k_j = {states}",
                "scores": SCORES[score],
                "weights": _SHARED["weights"],
                "context": _SHARED["context"],
                "combined": r"[c; q]",
                "output": r"o = \tanh(W_c\,[c; q] + b_c)",
            }
    return by_quantity | {"logits": _SHARED["logits"], "probabilities": _SHARED["probabilities"]}
