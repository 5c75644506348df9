"""The teacher's answers for all training photographs, kept for the models: DATA TEACHER FILE DEVICE."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from vizlib.datasets.tiny_imagenet import read_split
from vizlib.train.recipes import ON_CARD
from vizlib.train.teacher import views_of

if __name__ == "__main__":
    data, teacher, file, device = sys.argv[1:]
    photographs = read_split(data, "train")
    started = time.perf_counter()
    answers = views_of(photographs, ON_CARD.views, teacher, torch.device(device), keep=Path(file)).logits
    right = (answers.argmax(-1).cpu() == torch.from_numpy(photographs.labels)[:, None]).float().mean().item()
    print(f"{answers.shape[0]:,} photographs, {answers.shape[1]} views: right on {right:.1%}, {time.perf_counter() - started:.0f} s")
