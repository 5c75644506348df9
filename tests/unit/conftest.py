"""One core each, since the suite runs its workers side by side; one seed each, since tests must not depend on those before them."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_numbers_each_time() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  for code that draws from it
    torch.manual_seed(0)
