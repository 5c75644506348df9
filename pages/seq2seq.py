"""Where attention began: encoder-decoders that were really trained, taken apart step by step."""

import streamlit as st

from vizlib.ui.core import navigation
from vizlib.ui.core.url_state import UrlState
from vizlib.ui.pages.seq2seq import alignment, choices, decoder_step, length_study, lessons, predict_first
from vizlib.ui.pages.seq2seq import text as words
from vizlib.ui.pages.seq2seq import translator_service as work

arrived = navigation.open_page(
    "seq2seq",
    "Where attention began.",
    "A small network reads a text and writes its answer, one character at a time. Each row is a written character: strong colour is where "
    "it looked.",
)
work.translator_service()
url_state = UrlState("seq2seq", arrived=arrived)
asked = choices.pick(url_state)
stepped, take_step = alignment.step_view(url_state)
edit, take_edit = decoder_step.edit_view(url_state)
head, order, compare = decoder_step.head_key(url_state), lessons.order_key(url_state), length_study.compare_key(url_state)

made = None
if asked is None:
    choices.draw_untrained()
else:
    made = work.result_or_status("answer", alignment.submit_translation(asked))
if asked is not None and made is not None:
    identity, step = alignment.identity_of(asked), alignment.step_of(stepped, len(made.steps))
    attentive = alignment.attentive(made)
    predicting = attentive and asked.predict
    seen = not predicting or predict_first.revealed(identity, step)
    alignment.draw_alignment(made, asked, step, take_step, covered=-1 if seen else step)
    if predicting:
        predict_first.draw_predict_first(made, identity, step)
    if not attentive:
        st.info(words.NO_ATTENTION, icon=":material/compress:")
    elif seen:
        decoder_step.draw_decoder_step(made, asked, identity, step, edit, take_edit, head)
        lessons.draw_order(made, asked, identity, step, order)
        lessons.draw_left_out(made, asked, step)
    length_study.draw_length_study(asked, compare)
    with st.expander("Use it from Python", icon=":material/code:"):
        st.code(words.snippet(asked, step), language="python", wrap_lines=True)
    with st.expander("The model", icon=":material/menu_book:"):
        st.markdown(words.about(asked.card))
st.caption(f"{words.PAPERS} The address in your browser restores this view.")
url_state.write()
