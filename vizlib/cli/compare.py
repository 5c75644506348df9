"""``vizlib compare``: two to four models over the same images, as one page and as arrays."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vizlib.cli.completion import complete_class, complete_model
from vizlib.cli.errors_and_output import FAILED, OK, UsageError, download_progress, print_error, print_json, stderr_console, stdout_console
from vizlib.cli.model_options import ActivationOption, ImageSizeOption, LabelsOption, NumClassesOption, load_model, loading_options
from vizlib.cli.progress_bar import ProgressBar

if TYPE_CHECKING:
    from vizlib.compare.result import Comparison

COMPARE_EPILOG = """[bold]For example[/bold]

  vizlib compare vit_tiny50 resnet_tiny50 --images photos --out report.html

  vizlib compare vit_base_patch16_224 resnet50 cvt_13 --images photos --arrays numbers

  vizlib compare vit_tiny50 vit_tiny50=random --images photos --target 3

The report is one file that opens anywhere, without a network. DIR of --arrays gets comparison.npz, comparison.json, and the tables \
layers, heads, cka, images and skipped as Parquet. Every file below the folders of --images is tried; what cannot be read is \
named and left out. Exit codes: 0 done, 1 some images were left out, 2 asked for something there is not."""


def compare(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            show_default=False,
            help="Two to four: names as `vizlib models` lists them, folders of save_pretrained, NAME=CHECKPOINT, NAME=random, or "
            "MODULE:FUNCTION of your own code.",
            autocompletion=complete_model,
        ),
    ],
    images: Annotated[list[Path], typer.Option(metavar="PATH", help="A folder of images, or one image; repeatable.", show_default=False)],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page to write.")] = Path("comparison.html"),
    arrays: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the numbers there, too.", show_default=False)] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="The class whose probability is explained.", show_default="what the first model answers", autocompletion=complete_class
        ),
    ] = None,
    fit: Annotated[str | None, typer.Option(help="How images become inputs: crop, pad or squash.", show_default="each model's own")] = None,
    points: Annotated[int, typer.Option(min=1, help="Places of each image that are compared as tokens.")] = 16,
    shown: Annotated[int, typer.Option(min=0, help="Images that are shown with their layers and explained.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the places and of all resampling.")] = 0,
    labels: LabelsOption = None,
    num_classes: NumClassesOption = None,
    image_size: ImageSizeOption = None,
    activation: ActivationOption = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Compare models over images: what their layers hold alike, how far they look, and why they answer differently."""
    from vizlib.images import FITS

    if not 2 <= len(models) <= 4:
        raise UsageError(f"Name two to four models, not {len(models)}.")
    if fit is not None and fit not in FITS:
        raise UsageError(f"There is no fit {fit!r}; there are {', '.join(FITS)}.")
    missing_paths = [str(path) for path in images if not path.exists()]
    if missing_paths:
        raise UsageError(f"There is no {missing_paths[0]!r}: check the name and the folder.")
    of_models = loading_options(labels, num_classes, image_size, activation)
    from vizlib.compare import save_arrays, write_html
    from vizlib.compare.api import compare as run

    with ExitStack() as stack:
        loaded = [_load(word, device, stack, of_models) for word in models]
        target_class = int(target) if target is not None and target.isdecimal() else target
        display = stack.enter_context(ProgressBar(left=False))
        comparison = run(loaded, list(images), target=target_class, fit=fit, points=points, shown=shown, seed=seed, progress=display.show)
        page = write_html(comparison, out)
        arrays_folder = None if arrays is None else save_arrays(comparison, arrays)
    for name, reason in comparison.skipped:
        print_error(f"{name}: {reason}")
    _print_findings(comparison, as_json=as_json)
    written = [str(page), *([] if arrays_folder is None else [str(arrays_folder)])]
    stderr_console().print(f"written to {' and '.join(written)} in {comparison.seconds:.1f} s", soft_wrap=True, markup=False)
    raise typer.Exit(FAILED if comparison.skipped else OK)


def _load(word: str, device: str, stack: ExitStack, of_model: dict[str, Any]) -> Any:
    name, _, checkpoint = word.partition("=")
    return load_model(name, checkpoint=checkpoint or None, device=device, **of_model, progress=stack.enter_context(download_progress(name)))


def _print_findings(comparison: Comparison, *, as_json: bool) -> None:
    from vizlib.compare.export import comparison_facts
    from vizlib.compare.findings import findings

    sentences = findings(comparison)
    if as_json:
        finding_rows = [{"text": finding.text, "claim": finding.claim and asdict(finding.claim)} for finding in sentences]
        skipped = [{"image": name, "reason": reason} for name, reason in comparison.skipped]
        print_json({**comparison_facts(comparison), "images": len(comparison.images), "findings": finding_rows, "skipped": skipped})
        return
    screen = stdout_console()
    for finding in sentences:
        screen.print(finding.text, markup=False)
        if finding.claim:
            screen.print(f"  {finding.claim.statement} {finding.claim.measured} {finding.claim.verdict}", style="dim", markup=False)
    for reason in comparison.missing.values():
        stderr_console().print(f"note: {reason}", soft_wrap=True, markup=False)
