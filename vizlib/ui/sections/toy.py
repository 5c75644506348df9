"""What a paper does, once more in whole numbers: the section of every paper's page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from vizlib.analysis.toys.depthwise_kernel import SIDE as CHANNEL_SIDE
from vizlib.analysis.toys.depthwise_kernel import depthwise_kernel
from vizlib.analysis.toys.number_sheet import Place, written
from vizlib.analysis.toys.sequence_pool import sequence_pool
from vizlib.analysis.toys.soft_split import soft_split
from vizlib.analysis.toys.spatial_reduction import spatial_reduction
from vizlib.ui.components.toy_numbers import toy_numbers
from vizlib.ui.core.contents import heading

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.analysis.toys.number_sheet import NumberSheet


def soft_split_words(sheet: NumberSheet) -> str:
    """What became of the picture's numbers."""
    picture, tokens, copies = sheet.grids[:3]
    most = max(number.value for number in copies.numbers)
    return (
        f"{len(picture.numbers)} numbers become {len(tokens.values)} tokens of {tokens.columns}. Windows overlap, so a number is copied up "
        f"to **{written(most)} times**; a patch of ViT would copy it once. Then a linear map reads every token with the same weights."
    )


def spatial_reduction_words(sheet: NumberSheet) -> str:
    """How many keys and scores are left."""
    tokens, _, keys, scores = sheet.grids
    count = len(tokens.numbers)
    return (
        f"Each 2 × 2 block is flattened to {count // len(keys.numbers)} numbers and projected to one key: **{len(keys.numbers)} keys for "
        f"{count} tokens**, and {len(scores.numbers)} scores in place of {count * count}. Every token still asks."
    )


def depthwise_kernel_words(sheet: NumberSheet) -> str:
    """How many queries and keys one kernel makes."""
    *_, queries, keys = sheet.grids
    return (
        f"The kernel reads a token's neighbours in its own channel, and the linear map comes after: {len(queries.numbers)} queries, and "
        f"with a step of two **{len(keys.numbers)} keys**. CvT has a kernel of its own for each of q, k and v; here one serves for both. "
        f"At the border of the {CHANNEL_SIDE} × {CHANNEL_SIDE} tokens the zeros outside are left out of the sums."
    )


def sequence_pool_words(sheet: NumberSheet) -> str:
    """Which token counts most, and how much."""
    shares = [number.value for number in sheet.grids[5].numbers]
    most = max(range(len(shares)), key=shares.__getitem__)
    return (
        f"No class token: each token asks for its own share. Token {most + 1} gets **{written(100 * shares[most])}\u00a0%**, and what the "
        f"head reads is the {len(shares)} tokens mixed by their shares."
    )


_TOYS: dict[str, tuple[Callable[[], NumberSheet], Callable[[NumberSheet], str], Place]] = {
    "t2t": (soft_split, soft_split_words, Place(4, 4)),
    "pvt": (spatial_reduction, spatial_reduction_words, Place(2, 0)),
    "cvt": (depthwise_kernel, depthwise_kernel_words, Place(2, 5)),
    "compact": (sequence_pool, sequence_pool_words, Place(6, 0)),
}


def draw_toy(page: str) -> None:
    """The toy of a page, with one sum shown."""
    work, words, first = _TOYS[page]
    sheet = work()
    heading("A toy in whole numbers", sub=True)
    st.markdown(words(sheet))
    toy_numbers(sheet, first, key=f"{page}.toy")
