"""One file for each explanation method, and what is common to all of them."""
