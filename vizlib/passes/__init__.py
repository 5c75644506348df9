"""Passes through a model that record what happened: forward, backward, with heads switched off."""
