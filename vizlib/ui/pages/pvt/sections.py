"""The PVT page from top to bottom: what each scale holds, keys from a reduced grid, what that saves, and dense prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from vizlib.claims import of_untrained
from vizlib.figures.model_marks import family_name
from vizlib.ui.core import computations, job_slots
from vizlib.ui.core.contents import heading
from vizlib.ui.core.words import draw_text
from vizlib.ui.pages.pvt import attention_cost, claims, segmentation, text
from vizlib.ui.sections import feature_pyramid, reduced_keys
from vizlib.ui.sections.toy import draw_toy
from vizlib.ui.widgets.claim_card import draw_claim
from vizlib.ui.widgets.snippet import draw_snippet

if TYPE_CHECKING:
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState


def draw_page(model: ModelChoice, picture: Picture, fit: str | None, url_state: UrlState) -> None:
    """Every section, as far as its numbers are there."""
    view, groups = feature_pyramid.view_key(url_state), segmentation.groups_key(url_state)
    pyramid = feature_pyramid.pyramid_or_status("pvt", model, picture, fit, view)
    if model.card is not None and model.card.family in text.TITLES:
        title, words = text.TITLES[model.card.family]
        heading(title)
        draw_text(words)
    if pyramid is None:
        return
    heading("Keys from a reduced grid")
    job = reduced_keys.submit_reduced_keys("pvt.keys", model, picture, fit)
    job_slots.wait_for([job])
    keys = computations.result_or_status("pvt.keys", job, [model])
    if keys is not None:
        draw_text(text.keys_words(keys.facts))
        reduced_keys.draw_reduced_keys("pvt", keys, model, picture)
        draw_toy("pvt")
        heading("What it costs")
        draw_text(text.COST)
        attention_cost.draw_attention_cost(keys, model)
    heading("Why it matters for dense prediction")
    draw_text(text.DENSE)
    fields = segmentation.segmentations_or_status(model, picture, fit, max(pyramid.levels[0]["grid"]))
    if fields:
        segmentation.draw_segmentations(fields, picture, groups)
        st.markdown(claims.fragments(fields, st.session_state[groups]))
        vit = next((field for field in fields[1:] if field.title == family_name("vit", "")), None)
        if vit is not None:
            claim = claims.boundaries_claim(fields[0], vit)
            draw_claim(of_untrained(claim) if model.random else claim, claims.CASE)
    draw_snippet(text.snippet(model, picture, fit))
