"""Image sources, labelled folders, Tiny ImageNet and its classes."""
