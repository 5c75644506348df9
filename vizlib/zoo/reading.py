"""Which module of those that a person holds is read, and by which adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.catalog.families.other import UNKNOWN
from vizlib.errors import MethodError, ModelError, nearest
from vizlib.zoo.adapters import Adapter, PlainViT, adapter_for, families
from vizlib.zoo.adapters.part import AS_A_WHOLE, READ, PartAdapter, passage_of
from vizlib.zoo.adapters.traced import TracedAdapter
from vizlib.zoo.unwrapping import unwrapped

if TYPE_CHECKING:
    from torch import nn

    from vizlib.zoo.adapters import Size
    from vizlib.zoo.heads import OutputChoice


_GENERAL = ("traced", "other")  # families that know nothing of one network in particular


def reader_of(
    module: nn.Module,
    adapter: str | Adapter | PlainViT | None,
    part: str | None,
    size: Size | None,
    outputs: OutputChoice | None = None,
) -> Adapter:
    """The adapter of a module; where another one inside it is what vizlib knows, the adapter of that part.

    ``part`` names the module to read. Without it and without ``adapter`` the one module of a known family inside is taken, and the whole
    network where the part is not all of it; where there are several the refusal names them. ``outputs`` is what of several outputs
    answers. ModelError when ``part`` names none.
    """
    if part is not None:
        path, inside = named_part(module, part)
        if inside is not module:
            named = _part_adapter(module, path, adapter_for(inside, adapter), size, outputs)
            named.refusals |= {need: f"{why}; {AS_A_WHOLE}" for need, why in named.refusals.items() if why == named.lacks}
            return named
    reader = adapter_for(module, adapter)
    if outputs is not None:
        reader.choose(outputs)
    if size is not None:
        reader.expect(size)
    if reader.family not in _GENERAL and outputs is not None and adapter is None:
        return _of_chosen_output(module, reader, size, outputs)
    if adapter is not None or reader.family not in _GENERAL or (reader.family == "other" and getattr(reader, "names_map", False)):
        return reader
    readable = readable_parts(module, with_features="lineage" in reader.refusals)
    if len(readable) == 1:
        ((path, inner),) = readable.items()
        return _part_or_whole(module, _part_adapter(module, path, inner, size, outputs), size, outputs)
    if readable:
        names = ", ".join(readable)
        reason = f"{type(module).__name__} holds {len(readable)} modules that can be read ({names}): name one, as wrap(module, part=...)"
        reader.refusals |= {"lineage": reason, "feature_map": reason}
    return reader


def _part_adapter(outer: nn.Module, path: str, inner: Adapter, size: Size | None, outputs: OutputChoice | None) -> PartAdapter:
    return PartAdapter(outer, path, inner, size or declared_size(inner.module) or inner.input_size(), outputs)


def _of_chosen_output(module: nn.Module, reader: Adapter, size: Size | None, outputs: OutputChoice) -> Adapter:
    """The family's reader where the chosen output is made of what the family reads alone, else that of the whole network."""
    size = size or declared_size(module) or reader.input_size()
    reason = passage_of(module, "", size, outputs, reader.call).reason
    if reason is None:
        return reader
    whole = _whole(module, size, outputs)
    if "lineage" not in whole.refusals:
        return whole
    reader.refusals |= dict.fromkeys(READ, f"{reason}; of the whole network, {whole.refusals['lineage']}")
    return reader


def _part_or_whole(module: nn.Module, part: PartAdapter, size: Size | None, outputs: OutputChoice | None) -> Adapter:
    """The reading of a part; that of the whole network where the part is not all of the answer, or sees the pixels somewhere else."""
    size = size or declared_size(part.module) or part.inner.input_size()
    reason = part.lacks
    if size is None or "lineage" in part.inner.refusals:
        return part
    if reason is None:
        try:
            part.check_placement(size)
        except MethodError as error:
            reason = str(error)
        except ModelError:  # it does not take this size, which running it says better
            return part
    if reason is None:
        return part
    whole = _whole(module, size, outputs)
    if "lineage" not in whole.refusals:
        whole.in_place_of = part
        return whole
    part.refusals |= dict.fromkeys(READ, f"{reason}; of the whole network, {whole.refusals['lineage']}")
    return part


def _whole(module: nn.Module, size: Size | None, outputs: OutputChoice | None) -> TracedAdapter:
    whole = TracedAdapter(module)
    whole.choose(outputs)
    if size is None:
        whole.refusals["lineage"] = UNKNOWN
    else:
        whole.expect(size)
    return whole


def declared_size(module: nn.Module) -> Size | None:
    """The input (h, w) that a module says it was built for, None where it says nothing."""
    built = getattr(getattr(module, "patch_embed", None), "img_size", None)
    declared = getattr(module, "pretrained_cfg", None)
    if built is None and isinstance(declared, dict) and declared.get("input_size"):
        built = declared["input_size"][1:]
    if built is None:
        built = getattr(getattr(module, "config", None), "image_size", None)  # as transformers' models say it
    if isinstance(built, int):
        return built, built
    return (int(built[0]), int(built[1])) if isinstance(built, tuple | list) and len(built) == 2 else None


def readable_parts(module: nn.Module, *, with_features: bool = True) -> dict[str, Adapter]:
    """The topmost modules inside that an adapter of a known family reads, else those that name a last feature map, by path.

    ``with_features`` takes the latter too.
    """
    kinds = [kind for name, adapters in families().items() if name not in _GENERAL for kind in adapters]
    readable: dict[str, Adapter] = {}
    others: dict[str, Adapter] = {}

    def look(path: str, part: nn.Module) -> None:
        for name, child in part.named_children():
            inside = unwrapped(child)
            below = path_to(module, inside) if inside is not child else f"{path}.{name}" if path else name
            if any(kind.fits(inside) for kind in kinds):
                readable[below] = adapter_for(inside)
            elif getattr(inside, "feature_info", None) and getattr(inner := adapter_for(inside), "names_map", False):
                others[below] = inner
            else:
                look(below, inside)

    look("", module)
    return readable or (others if with_features else {})


def named_part(module: nn.Module, part: str) -> tuple[str, nn.Module]:
    """The part of this path, looked through where it is a wrapper, with its own path; ModelError, with parts that can be read, for none."""
    parts = dict(module.named_modules(remove_duplicate=False))
    if not isinstance(part, str) or part not in parts:
        could = list(readable_parts(module))
        hint = f" It can be read at {' or '.join(map(repr, could))}." if could else nearest(str(part), list(parts))
        raise ModelError(f"{type(module).__name__} holds no module {part!r}.{hint}")
    inside = unwrapped(parts[part])
    return (part if inside is parts[part] else path_to(module, inside)), inside


def path_to(outer: nn.Module, inside: nn.Module) -> str:
    """The path by which ``inside`` is found in ``outer``."""
    return next(path for path, part in outer.named_modules(remove_duplicate=False) if part is inside)
