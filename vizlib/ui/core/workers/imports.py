"""What every worker of the app has imported, named to the process that they are forked from; it starts no threads and computes nothing."""

import gc

from vizlib.engine.jobs import Progress
from vizlib.ui.core.model_loading import import_vision

import_vision(Progress())
gc.freeze()  # what is there by now stays: a collection in a worker touches none of it, and its memory stays shared
