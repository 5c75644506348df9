"""Where attention began: encoder-decoders that were really trained, taken apart step by step."""

import streamlit as st

from vizlib.ui.core import navigation
from vizlib.ui.core.url_state import Address
from vizlib.ui.pages.seq2seq import alignment, choices, decoder_step, length_study, lessons, predict_first
from vizlib.ui.pages.seq2seq import text as words
from vizlib.ui.pages.seq2seq import translator_service as work

arrived = navigation.open_page(
    "seq2seq",
    "Where attention began",
    "A small network reads a text and writes its answer, one character at a time. Each row is a written character: strong colour is where "
    "it looked.",
)
work.desk()
address = Address("seq2seq", arrived=arrived)
asked = choices.pick(address)
stepped, take_step = alignment.step_view(address)
edit, take_edit = decoder_step.edit_view(address)
head, order, compare = decoder_step.head_key(address), lessons.order_key(address), length_study.compare_key(address)

made = None
if asked is None:
    choices.draw_untrained()
else:
    made = work.settled("answer", alignment.ask(asked))
if asked is not None and made is not None:
    identity, step = alignment.identity_of(asked), alignment.step_of(stepped, len(made.steps))
    attentive = alignment.attentive(made)
    predicting = attentive and asked.predict
    seen = not predicting or predict_first.revealed(identity, step)
    alignment.draw(made, asked, step, take_step, covered=-1 if seen else step)
    if predicting:
        predict_first.draw(made, identity, step)
    if not attentive:
        st.info(words.NO_ATTENTION, icon=":material/compress:")
    elif seen:
        decoder_step.draw(made, asked, identity, step, edit, take_edit, head)
        lessons.draw_order(made, asked, identity, step, order)
        lessons.draw_left_out(made, asked, step)
    length_study.draw(asked, compare)
    with st.expander("Use it from Python", icon=":material/code:"):
        st.code(words.snippet(asked, step), language="python", wrap_lines=True)
    with st.expander("The model", icon=":material/menu_book:"):
        st.markdown(words.about(asked.card))
st.caption(f"{words.PAPERS} The address in your browser restores this view.")
address.close()
