"""Where a model's weights can be had: shipped, in a package, on the hub, behind a URL."""
