"""Where work runs: a cache bounded by memory, workers with progress and cancel."""
