"""What each paper does to numbers, on an example so small that every sum can be done by hand."""
