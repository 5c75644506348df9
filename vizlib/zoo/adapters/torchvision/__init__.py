"""torchvision's transformers."""
