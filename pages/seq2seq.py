"""Where attention began: encoder-decoders that were really trained, taken apart step by step."""

from vizlib.ui.pages.seq2seq.sections import draw_page
from vizlib.ui.pages.seq2seq.text import PAPERS
from vizlib.ui.pages.seq2seq.translator_service import wake_translators
from vizlib.ui.widgets.page import close_page, open_page

url_state = open_page(
    "seq2seq",
    "Where attention began.",
    "A small network reads a text and writes its answer, one character at a time. Each row is a written character: strong colour is where "
    "a model with attention looked.",
    vision=False,
)
wake_translators()
draw_page(url_state)
close_page(url_state, source=PAPERS, not_linked="")
