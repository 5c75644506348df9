"""Compare: two to four models over the same photographs, what their layers hold alike, how far they look, why they answer differently."""

from vizlib.ui.pages.compare.sections import draw_page
from vizlib.ui.sections.picture_set import pick_set
from vizlib.ui.widgets.model_picker import pick_models
from vizlib.ui.widgets.page import close_page, open_page, pick_beside_fit

url_state = open_page(
    "compare",
    "What differs between models?",
    "The same pictures go through all of them: look at which layers hold the same, how far each looks, and why their answers differ.",
)
pictures = pick_set(url_state, "compare", "One picture shows its layers and the difference. CKA takes four, its intervals eight.")
models, fit = pick_beside_fit(url_state, pick_models)
draw_page(models, pictures, fit, url_state)
close_page(url_state, not_linked="a picture or a model of your own")
