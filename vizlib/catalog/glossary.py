"""The words that the pages use, each in a sentence or two. Imports nothing."""

from __future__ import annotations

ENTRIES = {
    "token": "One row of numbers that stands for a part of the picture, or of a text. A transformer computes with tokens only.",
    "patch": "A square of pixels that is cut out and becomes one token.",
    "embedding": "The numbers that a token begins with: its pixels, or its character, through one linear map.",
    "query": "What a token asks: its numbers through a linear map, written q. It is compared with every key.",
    "key": "What a token is found by, written k. Query times key says how well they fit.",
    "value": "What a token hands on when it is looked at, written v.",
    "softmax": "Makes weights of scores: each is raised to e^score and divided by the sum, so that all are positive and sum to 1.",
    "head": "One attention of several side by side in a layer, each with queries, keys and values of its own.",
    "class token": "A token that stands for no part of the picture. It gathers from the others, and the classifier reads it alone.",
    "sequence pooling": "A weighted mean of all tokens, the weights learnt, in place of a class token.",
    "receptive field": "The pixels that can change a unit, or in fact do, by how much.",
    "logit": "The number that a class has before softmax makes probabilities of all of them.",
    "logit lens": "What the head would answer if it read an earlier layer's tokens in place of the last one's.",
    "residual": "The way around a layer: what went in is added to what came out.",
    "rollout": "Attention followed through all layers: each step goes half to the token itself and half to where it looks.",
    "lineage": "Where a token comes from: the shares of the first windows, or pixels, that end in it when all steps are followed back.",
    "basis": "The directions along which colours are drawn. With a basis of its own, colours of one map cannot be compared with another's.",
    "path": "One way from a pixel to a token through overlapping windows. A pixel in several windows has several paths.",
    "attribution": "A map that says how much each pixel speaks for an answer, by the rule of some method.",
    "faithfulness": "Whether taking away what a map calls important changes the answer more than taking away something else.",
    "CKA": "How alike two layers arrange the same pictures, from 0 to 1, however wide each is.",
    "drift": "How far features are from having moved along with the picture: 0 is exactly, 1 is no better than a constant map.",
    "multiply-adds": "One multiplication and one addition: what computing is counted in.",
}
ROLES = {"query": "#2f7ed8", "key": "#c77c02", "value": "#2c9a4b"}
"""The colours of the three wherever a page names or draws them: the style sheets of components get them from here."""
PAGES = {
    "explore": ("token", "rollout", "attribution"),
    "learn": ("token", "patch", "query", "key", "value", "softmax", "head", "class token", "logit lens", "attribution"),
    "attention": ("token", "patch", "query", "key", "softmax", "head", "class token", "rollout", "residual", "logit", "logit lens"),
    "seq2seq": ("token", "embedding", "query", "key", "value", "softmax", "head"),
    "t2t": ("token", "patch", "lineage", "path", "basis", "multiply-adds"),
    "pvt": ("token", "query", "key", "value", "head", "rollout", "multiply-adds"),
    "cvt": ("token", "query", "key", "value", "softmax", "head", "class token"),
    "compact": ("token", "patch", "path", "class token", "sequence pooling", "drift"),
    "compare": ("token", "head", "receptive field", "residual", "CKA"),
    "biases": ("token", "drift"),
    "attribution": ("attribution", "faithfulness", "rollout"),
    "audit": ("attribution", "token", "head", "rollout"),
    "models": ("attribution", "multiply-adds"),
}
"""The words of each page, in the order of the idea."""


def listed(page: str) -> str:
    """The words of a page with their sentences, as a list in Markdown."""
    return "\n".join(f"- **{_coloured(word)}**: {ENTRIES[word]}" for word in PAGES.get(page, ()))


def _coloured(word: str) -> str:
    return f':color[{word}]{{foreground="{ROLES[word]}"}}' if word in ROLES else word
