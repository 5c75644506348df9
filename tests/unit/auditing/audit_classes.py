"""The classes of the small pictures, by labels of the fifty."""

CLASSES = ("tabby", "goose", "pizza")
