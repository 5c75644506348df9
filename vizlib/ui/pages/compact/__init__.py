"""Parts of the page Compact."""
