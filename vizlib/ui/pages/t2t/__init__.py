"""Parts of the page T2T-ViT."""
