"""Changes of a picture, and how answers and features follow them."""
