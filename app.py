"""The vizlib app: ``streamlit run app.py``. It only frames the pages; what they show is computed by vizlib."""

from vizlib.ui.core import navigation

navigation.run()
