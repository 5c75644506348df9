"""Measures of attention: heads, artefact tokens, rollouts from a token."""
