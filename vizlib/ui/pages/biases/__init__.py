"""Parts of the page Biases."""
