"""Multiply-adds, memory and time of attention."""
