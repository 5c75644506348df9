"""Where attention began: encoder-decoders that were really trained, taken apart step by step."""

import streamlit as st

from vizlib.ui import seq2seq_alignment, seq2seq_choices, seq2seq_lessons, seq2seq_predict, seq2seq_problems, seq2seq_step, shell
from vizlib.ui import seq2seq_words as words
from vizlib.ui import seq2seq_work as work
from vizlib.ui.address import Address

arrived = shell.open_page(
    "seq2seq",
    "Where attention began",
    "A small network reads a text and writes its answer, one character at a time. Each row is a written character: strong colour is where "
    "it looked.",
)
work.desk()
address = Address("seq2seq", arrived=arrived)
asked = seq2seq_choices.pick(address)
stepped, take_step = seq2seq_alignment.step_view(address)
edit, take_edit = seq2seq_step.edit_view(address)
head, order, compare = seq2seq_step.head_key(address), seq2seq_lessons.order_key(address), seq2seq_problems.compare_key(address)

made = None
if asked is None:
    seq2seq_choices.draw_untrained()
else:
    made = work.settled("answer", seq2seq_alignment.ask(asked))
if asked is not None and made is not None:
    identity, step = seq2seq_alignment.identity_of(asked), seq2seq_alignment.step_of(stepped, len(made.steps))
    attentive = seq2seq_alignment.attentive(made)
    predicting = attentive and asked.predict
    seen = not predicting or seq2seq_predict.revealed(identity, step)
    seq2seq_alignment.draw(made, asked, step, take_step, covered=-1 if seen else step)
    if predicting:
        seq2seq_predict.draw(made, identity, step)
    if not attentive:
        st.info(words.NO_ATTENTION, icon=":material/compress:")
    elif seen:
        seq2seq_step.draw(made, asked, identity, step, edit, take_edit, head)
        seq2seq_lessons.draw_order(made, asked, identity, step, order)
        seq2seq_lessons.draw_left_out(made, asked, step)
    seq2seq_problems.draw(asked, compare)
    with st.expander("Use it from Python", icon=":material/code:"):
        st.code(words.snippet(asked, step), language="python", wrap_lines=True)
    with st.expander("The model", icon=":material/menu_book:"):
        st.markdown(words.about(asked.card))
st.caption(f"{words.PAPERS} The address in your browser restores this view.")
address.close()
