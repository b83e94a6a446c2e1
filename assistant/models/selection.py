"""Which files of a model are taken: those the engine reads, and no more. Pure functions on names.

Names may come from a server. Only plain names at the top of a repository are taken as they are; a GGUF file, wherever
it lies, is stored under our own name. So no name can lead out of the model's folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from assistant.errors import ModelsError
from engine.catalog import ADAPTER_CONFIG, GGUF

SMALL = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "training.json",
    "labels.json",
    ADAPTER_CONFIG,
    "README.md",
    "LICENSE",
    "LICENSE.txt",
    "LICENSE.md",
    "NOTICE",
)
LARGEST_SMALL = 64 << 20  # bytes: a tokenizer of 260,000 pieces takes 33 MB; nothing honest is larger
ADAPTER_WEIGHTS = "adapter_model.safetensors"
_SHARD = {"safetensors": r"model-\d{5}-of-(\d{5})\.safetensors", "bin": r"pytorch_model-\d{5}-of-(\d{5})\.bin"}
_SPLIT_GGUF = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
_PREFERRED = ("Q4_K_M", "Q8_0", "Q6_K", "Q5_K_M", "Q4_0", "BF16", "F16", "F32")  # when nobody chose


def choose(names: Iterable[str], pick: str = "") -> dict[str, str]:
    """{name there: name in the model's folder} of the files to take; `pick` chooses a GGUF file by name or kind.

    Raises:
        ModelsError: there are no weights that the engine could open, or `pick` fits none or several.
    """
    names = [name for name in names if name.isprintable() and "\\" not in name and ".." not in name.split("/")]
    found = set(names)
    ggufs = [name for name in names if name.lower().endswith(".gguf") and "mmproj" not in name.lower()]
    small = {name: name for name in SMALL if name in found}
    if pick:
        chosen = _picked(ggufs, pick)
        return {chosen: GGUF} | {name: name for name in small if name.startswith(("README", "LICENSE", "NOTICE"))}
    if "config.json" not in found and {ADAPTER_CONFIG, ADAPTER_WEIGHTS} <= found:
        return small | {ADAPTER_WEIGHTS: ADAPTER_WEIGHTS}
    if "config.json" in found and (weights := _weights(found)):
        return small | {name: name for name in weights}
    if ggufs:
        chosen = _preferred(ggufs)
        return {chosen: GGUF} | {name: name for name in small if name.startswith(("README", "LICENSE", "NOTICE"))}
    raise ModelsError(
        "it has no weights that the engine opens (config.json with model.safetensors or pytorch_model.bin, or a .gguf)"
    )


def _weights(found: set[str]) -> list[str]:
    """Safetensors before pickles, one file before shards."""
    for single, index, kind in (
        ("model.safetensors", "model.safetensors.index.json", "safetensors"),
        ("pytorch_model.bin", "pytorch_model.bin.index.json", "bin"),
    ):
        if single in found:
            return [single]
        shards = {name: match[1] for name in found if (match := re.fullmatch(_SHARD[kind], name))}
        if index in found and shards:
            total = max(set(shards.values()), key=list(shards.values()).count)
            return [index, *sorted(name for name, of in shards.items() if of == total)]
    return []


def _picked(ggufs: list[str], pick: str) -> str:
    wanted = pick.lower()
    exact = [name for name in ggufs if wanted in (name.lower(), name.lower().split("/")[-1])]
    by_kind = [name for name in ggufs if re.search(rf"(?:^|[-._/]){re.escape(wanted)}(?:\.gguf$|[-./])", name.lower())]
    found = exact or by_kind
    if not found:
        raise ModelsError(f"there is no GGUF file {pick!r}; there are: {_listed(ggufs)}")
    if len(found) > 1 or _SPLIT_GGUF.search(found[0]):
        raise ModelsError(f"{pick!r} is in several pieces or fits several files: {_listed(found)}; choose one")
    return found[0]


def _preferred(ggufs: list[str]) -> str:
    whole = [name for name in ggufs if not _SPLIT_GGUF.search(name)]
    if len(whole) == 1:
        return whole[0]
    for kind in _PREFERRED:
        fitting = [name for name in whole if kind.lower() in name.lower()]
        if len(fitting) == 1:
            return fitting[0]
    raise ModelsError(f"there are several GGUF files; choose one after a colon (NAME:Q4_K_M): {_listed(ggufs)}")


def _listed(names: list[str]) -> str:
    return (", ".join(sorted(names)[:12]) + (" …" if len(names) > 12 else "")) or "none"


def licence_of(card: Mapping[str, object] | None, tags: Iterable[str] = ()) -> str | None:
    """The licence that a model card's header or a repository's tags name; its own name where it is a special one."""
    card = card or {}
    named = card.get("license_name") if card.get("license") == "other" else card.get("license")
    if isinstance(named, list):
        named = ", ".join(str(one) for one in named)
    if not named:
        named = next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), None)
    return str(named)[:80] if named else None
