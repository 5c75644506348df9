"""Imported by the process that workers are forked from, and by nothing else: it ends at once when it is no longer needed.

An end of the interpreter would take a second, and libraries that torch brings would print what they never freed into the server's log.
"""

import atexit
import os

atexit.register(os._exit, 0)
