"""The data set and the recipes of the bundled models, and the loop that trains them."""
