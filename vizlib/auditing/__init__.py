"""What models look at over a whole data set: streamed in chunks, taken up again where it was stopped."""
