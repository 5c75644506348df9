"""The whole school: methods by exams by models."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from vizlib.catalog.methods import METHODS, method_card
from vizlib.engine.progress import tell, told_to
from vizlib.errors import CancelledError, ExamError, VizlibError
from vizlib.evaluation.exams.beside_random_maps import faithfulness_questions
from vizlib.evaluation.exams.cards import EXAMS, exam_card
from vizlib.evaluation.exams.grading import answer_exam
from vizlib.evaluation.exams.grid_pointing_game import grid_questions
from vizlib.evaluation.exams.known_attribution import COUNT, KINDS, known_questions
from vizlib.evaluation.exams.object_boxes import box_questions
from vizlib.evaluation.exams.photographs import QUESTIONS
from vizlib.evaluation.exams.planted_evidence import planted_questions
from vizlib.evaluation.exams.question import Mark, Questions
from vizlib.evaluation.exams.report import Example, ExamReport
from vizlib.figures.exam_pictures import outline_words, outlined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vizlib.engine.progress import Listener
    from vizlib.zoo.model import Model

QUICK = 4  # images through the model for one map, up to which a method takes part unasked


def run_exams(
    models: Sequence[str | Model],
    methods: Sequence[str] | None = None,
    exams: Sequence[str] | None = None,
    images: Any = None,
    boxes: Any = None,
    progress: Listener | None = None,
    *,
    questions: int = QUESTIONS,
    seed: int = 0,
) -> ExamReport:
    """Every mark that methods get in exams on models, by name or ready-made; about ``questions`` of each exam for each model.

    ``images`` are what ``planted_questions`` and ``grid_questions`` take, ``boxes`` what ``box_questions`` takes. None stands for the
    methods of few passes, and for the exams of few passes that there is material for. "known" asks its own models, about all others
    alike. What cannot be asked, or does not fit, has a mark that says why. ExamError for an exam that there is not or has nothing to be
    made of, MethodError for an unknown method.
    """
    material = {"": True, "images": images, "boxes": boxes}
    if exams is None:
        exams = [name for name, card in EXAMS.items() if card.unasked and material[card.needs] is not None]
    for name in exams:
        if material[exam_card(name).needs] is None:
            raise ExamError(f"The exam {name!r} is made of photographs{' with boxes' if EXAMS[name].needs == 'boxes' else ''}: give some.")
    methods = quick_methods() if methods is None else [method_card(name).name for name in methods]
    makers: dict[str, Callable[[Model], Questions]] = {
        "planted": lambda model: planted_questions(model, images, seed, count=questions),
        "grid": lambda model: grid_questions(model, images, seed, count=questions),
        "boxes": lambda model: box_questions(model, boxes, count=questions, seed=seed),
        "faithfulness": lambda model: faithfulness_questions(model, images, seed, count=questions),
    }
    papers = [name for name in EXAMS if name in exams and name != "known"]
    sittings = (len(methods) + 1) * ((len(KINDS) if "known" in exams else 0) + len(models) * len(papers))
    course = _Course(progress, sittings)
    about = {"questions": questions, "seed": seed, "torch": version("torch"), "timm": version("timm")}
    report = ExamReport([], about=about)
    if "known" in exams:
        for kind in KINDS:
            make = partial(known_questions, kind, count=min(COUNT, questions), seed=seed)
            _hold_exam(report, course, "known", kind, methods, make)
    for name_or_model in models if papers else ():
        model = _loaded(name_or_model)
        for name in papers:
            _hold_exam(report, course, name, model.card.name, methods, partial(makers[name], model))
    return report


def quick_methods() -> list[str]:
    """The names of the methods that take part unasked: those of at most QUICK passes for a map."""
    return [card.name for card in METHODS.values() if card.passes <= QUICK]


def _loaded(model: str | Model) -> Model:
    from vizlib.zoo.load import load

    return load(model) if isinstance(model, str) else model


def _hold_exam(report: ExamReport, course: _Course, exam: str, model: str, methods: Sequence[str], make: Callable[[], Questions]) -> None:
    """One exam on one model: its questions, and the mark of every method."""
    title = f"{EXAMS[exam].title}, {model}"
    questions, why = Questions(), ""
    with course.next(f"{title}: making the questions"):
        try:
            questions = make()
        except CancelledError:
            raise
        except VizlibError as error:
            why = str(error)
    report.skipped += [(exam, model, what, reason) for what, reason in questions.skipped]
    if questions and not any(example.exam == exam for example in report.examples):
        question = questions[0]
        truth = question.truth > 0
        words = " ".join(filter(None, [question.words, outline_words(truth, question.control)]))
        report.examples.append(Example(exam, words, outlined(question.picture, truth, question.control)))
    for method in methods:
        with course.next(f"{title}: {METHODS[method].title}"):
            report.marks.append(_mark_of(questions, exam, model, method, why))


def _mark_of(questions: Questions, exam: str, model: str, method: str, why: str) -> Mark:
    if why:
        return Mark.refusal(exam, method, model, EXAMS[exam].unit, why)
    try:
        return answer_exam(questions, method)
    except CancelledError:
        raise
    except VizlibError as error:
        return Mark.refusal(exam, method, model, EXAMS[exam].unit, str(error))


class _Course:
    """How far the school is: told to ``progress``, else to whoever listens where it is made."""

    def __init__(self, progress: Listener | None, total: int) -> None:
        outside = copy_context()
        self._heard: Listener = progress or (lambda completed, total=None, message=None: outside.run(tell, completed, total))  # noqa: ARG005
        self._done, self._total = 0, total

    @contextmanager
    def next(self, message: str) -> Iterator[None]:
        """One of the steps; what tells of itself inside is a part of it."""

        def listener(completed: float, total: float | None = None, message: str | None = message) -> None:
            self._heard(self._done + (min(1.0, completed / total) if total else 0.0), self._total, message)

        self._heard(self._done, self._total, message)
        with told_to(listener):
            yield
        self._done += 1
        self._heard(self._done, self._total, message)
