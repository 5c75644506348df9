"""Models of Hugging Face's transformers, known by the paths of their classes: the library is never imported here."""
