"""Measures of attention: heads, artifact tokens, rollouts from a token."""
