"""Methods, or one method with several options, on the very same questions: how far is each from the first, question by question?

``python benchmarks/exam_options.py tiny-imagenet-50 vit_tiny50 rollout rollout,key_weights=value_norm`` prints Markdown: the mark of each
with its 95 % interval, the share of questions in which the map's highest point lies on the evidence, and the mean difference from the
first with its interval, by bootstrap over pictures.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

import vizlib
from vizlib.evaluation.exams import grade, grid_questions, planted_questions
from vizlib.evaluation.exams.grading import evidence_share, explain_questions
from vizlib.evaluation.exams.object_boxes import labelled_photographs
from vizlib.stats import grouped_bootstrap

MAKERS = {"planted": planted_questions, "grid": grid_questions}


def method_and_options(text: str) -> tuple[str, dict[str, Any]]:
    """The parts of ``METHOD,OPTION=VALUE,...``; a value is a number where it reads as one."""
    method, *pairs = text.split(",")
    options: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            options[name] = float(value)
        except ValueError:
            options[name] = value
    return method, options


def main() -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("model")
    parser.add_argument("methods", nargs="+", metavar="METHOD[,OPTION=VALUE]...")
    parser.add_argument("--questions", type=int, default=30)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = vizlib.load(given.model)
    items, _ = labelled_photographs(given.data)
    images = {item.name: item.image for item in items}
    for exam, make in MAKERS.items():
        questions = make(model, images, count=given.questions)
        pictures = {question.group: number for number, question in enumerate(questions)}
        groups = [pictures[question.group] for question in questions]
        print(f"\n{exam}, {given.model}: {len(questions)} questions of {len(pictures)} pictures\n")
        print("| method | mark | highest point | ahead of the first |\n| --- | --- | --- | --- |")
        first = None
        for text in given.methods:
            method, options = method_and_options(text)
            maps = explain_questions(questions, method, **options)
            mark = grade(questions, maps, method)
            shares = np.array([evidence_share(question, torch.from_numpy(each)) for question, each in zip(questions, maps, strict=True)])
            first = shares if first is None else first
            low, high, _ = grouped_bootstrap(shares - first, groups)
            ahead = "" if shares is first else f"{(shares - first).mean():+.3f} ({low:+.3f} to {high:+.3f})"
            print(f"| {text} | {mark.value:.2f} ({mark.low:.2f} to {mark.high:.2f}) | {mark.pointing:.0%} | {ahead} |", flush=True)


if __name__ == "__main__":
    main()
