"""Explore: a picture, some models, and for each what it answered and where that came from."""

from vizlib.ui.pages.explore.page import draw_page

draw_page()
