"""Methods that weigh feature maps (class activation maps)."""
