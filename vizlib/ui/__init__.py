"""What the pages share; the only part of vizlib that imports streamlit."""
