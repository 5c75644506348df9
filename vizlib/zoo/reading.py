"""Which module of those that a person holds is read, and by which adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.errors import ModelError, nearest
from vizlib.zoo.adapters import Adapter, PlainViT, adapter_for, families
from vizlib.zoo.adapters.part import PartAdapter
from vizlib.zoo.unwrapping import unwrapped

if TYPE_CHECKING:
    from torch import nn

    from vizlib.zoo.adapters import Size


_GENERAL = ("traced", "other")  # families that know nothing of one network in particular


def reader_of(module: nn.Module, adapter: str | Adapter | PlainViT | None, part: str | None, size: Size | None) -> Adapter:
    """The adapter of a module; where another one inside it is what vizlib knows, the adapter of that part.

    ``part`` names the module to read. Without it and without ``adapter`` the one module of a known family inside is taken; where there
    are several the refusal names them. ModelError when ``part`` names none.
    """
    if part is not None:
        path, inside = named_part(module, part)
        return adapter_for(inside, adapter) if inside is module else _part_adapter(module, path, adapter_for(inside, adapter), size)
    reader = adapter_for(module, adapter)
    if size is not None:
        reader.expect(size)
    if adapter is not None or reader.family not in _GENERAL or (reader.family == "other" and getattr(reader, "names_map", False)):
        return reader
    readable = readable_parts(module, with_features="lineage" in reader.refusals)
    if len(readable) == 1:
        ((path, inner),) = readable.items()
        return _part_adapter(module, path, inner, size)
    if readable:
        names = ", ".join(readable)
        reason = f"{type(module).__name__} holds {len(readable)} modules that can be read ({names}): name one, as wrap(module, part=...)"
        reader.refusals |= {"lineage": reason, "feature_map": reason}
    return reader


def _part_adapter(outer: nn.Module, path: str, inner: Adapter, size: Size | None) -> PartAdapter:
    return PartAdapter(outer, path, inner, size or declared_size(inner.module) or inner.input_size())


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
