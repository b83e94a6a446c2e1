"""Are the models here what was added? Weights are hashed and compared; nothing is loaded."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from assistant.doctor.findings import Finding
from assistant.models.events import size_text
from assistant.models.shelf import Shelf
from assistant.text import printable
from engine.catalog import ModelInfo
from engine.errors import ModelFolderError

BLOCK = 1 << 20  # bytes


def models(shelf: Shelf, *, hashes: bool = True) -> Iterator[Finding]:
    """A finding for every model; `hashes`: read all their bytes, too."""
    for info in shelf.models():
        yield _model(info, hashes)
    for name, why in shelf.faulty():
        advice = f"Remove it (homespun models remove {printable(name)}) and add it again."
        yield Finding("problem", f"Model {printable(name)}", printable(why), advice)
    for unfinished in shelf.unfinished():
        advice = f"Go on: homespun models add {unfinished.source}; or: homespun models remove {unfinished.name}"
        said = f"Its download was cut off after {size_text(unfinished.have)}."
        yield Finding("warning", f"Model {unfinished.name}", said, advice)
    try:
        _, note = shelf.default()
    except ModelFolderError as error:
        yield Finding("problem", "Models", str(error), "Install homespun again: its own model is missing.")
    else:
        if note:
            yield Finding("warning", "Models", note, "Choose another default: homespun models default NAME")


def _model(info: ModelInfo, hashes: bool) -> Finding:
    about, size = f"Model {printable(info.key)}", size_text(info.size)
    sums = _installed() if info.bundled else info.facts.get("sha256") or {}
    sums = {name: known for name, known in sums.items() if (info.path / name).is_file()} if info.path.is_dir() else {}
    if not hashes or not sums:
        return Finding(
            "good", about, f"{size}; " + ("not compared" if sums else "there is no checksum to compare it with.")
        )
    try:
        wrong = [name for name, known in sums.items() if sha256(info.path / name) != known]
    except OSError as error:
        return Finding("problem", about, f"It cannot be read: {error.strerror}.", "Look after the disk it lies on.")
    if wrong:
        said = f"{printable(wrong[0])} is not what was added: its checksum differs."
        advice = (
            "If you did not change it, install homespun again."
            if info.bundled
            else (f"If you did not change it: homespun models remove {printable(info.key)}, then add it again.")
        )
        return Finding("problem", about, said, advice)
    return Finding("good", about, f"{size}; {len(sums)} files have the right checksums.")


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _installed() -> dict[str, str]:
    """The checksums of the bundled model's files as the installer wrote them down; none in a checkout."""
    try:
        files = metadata.distribution("homespun").files or []
    except metadata.PackageNotFoundError:
        return {}
    sums = {}
    for file in files:
        if "bundled" in file.parts and file.hash is not None and file.hash.mode == "sha256":
            raw = base64.urlsafe_b64decode(file.hash.value + "=" * (-len(file.hash.value) % 4))
            sums[file.name] = raw.hex()
    return sums
