"""Parts of the page CvT."""
