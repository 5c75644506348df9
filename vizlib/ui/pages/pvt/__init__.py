"""Parts of the page PVT."""
