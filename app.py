"""The vizlib app: ``streamlit run app.py``. It only frames the pages; what they show is computed by vizlib."""

from vizlib.ui import shell

shell.run()
