"""``python -m vizlib`` is the command line."""

from vizlib.cli import main

main()
