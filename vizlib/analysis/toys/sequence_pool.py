"""The sequence pooling of Compact Transformers by hand: three tokens, weighed by a score of their own, become one.

Hassani et al., "Escaping the Big Data Paradigm with Compact Transformers", 2021, arXiv:2104.05704.
"""

from __future__ import annotations

from vizlib.analysis.toys.number_sheet import NumberSheet, Place

BASE = 2
_TOKENS = [[4, 3, 4], [2, 2, 4], [2, 2, 8]]
_WEIGHTS = [[1, -1, 0]]


def sequence_pool() -> NumberSheet:
    """Tokens (3, 3), weights (1, 3), scores (3, 1), powers of two, their sum, shares (3, 1), and the pooled token (1, 3).

    A softmax takes powers of e; powers of two keep the numbers whole, and change nothing else.
    """
    sheet = NumberSheet()
    tokens = sheet.give("Tokens", "three, a line each, of three numbers", _TOKENS, "value")
    count, width = len(_TOKENS), len(_TOKENS[0])
    weights = sheet.give("Weights", "what the pool learnt: one number for each of a token's", _WEIGHTS)
    dots = [[[Place(tokens, width * token + turn), Place(weights, turn)] for turn in range(width)] for token in range(count)]
    scores = sheet.work_out("Scores", "how much each token asks for", 1, dots)
    powers = sheet.work_out(
        "Powers", f"{BASE} to the score, where softmax takes e", 1, [[[Place(scores, i)]] for i in range(count)], base=BASE
    )
    total = sheet.work_out("Their sum", "", 1, [[[Place(powers, i)] for i in range(count)]])
    shares = sheet.work_out(
        "Shares", "of each token; they sum to 1", 1, [[[Place(powers, i)]] for i in range(count)], divisor=Place(total, 0)
    )
    mixed = [[[Place(shares, token), Place(tokens, width * token + turn)] for token in range(count)] for turn in range(width)]
    sheet.work_out("Pooled", "one token, which the head reads", width, mixed)
    return sheet
