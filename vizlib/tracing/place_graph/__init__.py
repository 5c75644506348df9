"""Which place of an image every number of a forward pass stands at, found by running the network's own code on place numbers."""
