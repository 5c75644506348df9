"""The Seq2seq page from top to bottom: an answer with its attention, one step taken apart, two lessons, two problems measured."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.seq2seq.cards import cards
from vizlib.ui.pages.seq2seq import alignment, choices, decoder_step, length_study, lessons, predict_first, text, translator_service
from vizlib.ui.pages.seq2seq.translation_work import compute_translation
from vizlib.ui.widgets.snippet import draw_snippet

if TYPE_CHECKING:
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.seq2seq.choices import TranslationRequest


def draw_page(url_state: UrlState) -> None:
    """Every section, as far as there is an answer."""
    request = choices.pick(url_state)
    chosen_step, take_step = alignment.step_view(url_state)
    edit, take_edit = decoder_step.edit_view(url_state)
    head, order, study = decoder_step.head_key(url_state), lessons.order_key(url_state), length_study.study_keys(url_state)
    if request is None:
        choices.draw_untrained()
        return
    translation = alignment.translation_or_status(request)
    if translation is None:
        return
    identity, step = alignment.identity_of(request), alignment.step_of(chosen_step, len(translation.steps))
    attentive = alignment.attentive(translation)
    predicting = attentive and request.predict
    revealed = not predicting or predict_first.revealed(identity, step)
    alignment.draw_alignment(translation, request, step, take_step, covered=-1 if revealed else step)
    truth = request.task.truth(request.text)
    if truth is not None and request.target is None:
        st.markdown(text.how_right(truth, translation.output, date=request.task.name == "dates"))
        if attentive:
            _draw_without(request, truth, translation.output)
    if predicting:
        predict_first.draw_predict_first(translation, identity, step)
    if not attentive:
        st.info(text.NO_ATTENTION, icon=":material/compress:")
    elif revealed:
        decoder_step.draw_decoder_step(translation, request, identity, step, edit, take_edit, head)
        lessons.draw_order(translation, request, identity, step, order)
        lessons.draw_left_out(translation, request, step)
    length_study.draw_length_study(request, study)
    draw_snippet(text.snippet(request, step))
    with st.expander("The model", icon=":material/menu_book:"):
        st.markdown(text.about(request.card))


def _draw_without(request: TranslationRequest, truth: str, output: str) -> None:
    """What the task's model without attention makes of the same text, beside what this one made."""
    plain = cards().get(f"{request.task.name}_gru_none")
    if plain is None or plain.accuracy is None:
        return
    work = partial(compute_translation, text=request.text, beams=request.beams, target=None)
    without = translator_service.result_or_status("without", request.key, plain.name, work)
    if without is not None:
        st.markdown(text.without_attention(truth, output, without.output, date=request.task.name == "dates"))
