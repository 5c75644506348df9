"""Widgets that several pages use: pickers, the options of a method, uploads, downloads."""
