"""The vizlib app: ``streamlit run app.py``. It only frames the pages; what they show is computed by vizlib."""

from vizlib.ui.core import navigation
from vizlib.ui.widgets.presenter_switch import draw_presenter

navigation.run(draw_presenter)
