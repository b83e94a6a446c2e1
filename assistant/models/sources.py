"""What a person names when adding a model: a folder, a GGUF file, one of GPT-2's four sizes, or a Hub repository.

Owns reading that wish and the name a model gets. Nothing is fetched here, and nothing but a file's first bytes is read.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import UsageError
from assistant.text import printable

GPT2 = ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")  # the book's; they moved into an organisation
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_REPO = re.compile(r"[A-Za-z0-9_][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,199}", re.ASCII)
_URLS = ("https://huggingface.co/", "https://hf.co/", "hf.co/", "huggingface.co/", "hf://")


@dataclass(frozen=True)
class Local:
    """A folder or a GGUF file on this machine; an absolute path."""

    path: Path
    gguf: bool

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class Repo:
    """A repository on the Hub; `pick` chooses one of its GGUF files, by file name or by quantisation ("Q4_K_M")."""

    id: str
    pick: str = ""
    revision: str = ""  # branch, tag or commit; "": the main branch

    def __str__(self) -> str:
        return self.id + (f":{self.pick}" if self.pick else "") + (f"@{self.revision}" if self.revision else "")


Source = Local | Repo


def parse(wish: str) -> Source:
    """What `wish` means. What exists on this machine goes before a repository of that name.

    Raises:
        UsageError: it can be none of them.
    """
    wish = wish.strip()
    shown = printable(wish)[:120]
    if not wish or shown != wish[:120]:
        raise UsageError(f"{shown!r} is no folder, GGUF file or repository, such as Qwen/Qwen3-0.6B.")
    if wish in GPT2:
        return Repo(f"openai-community/{wish}")
    path = Path(os.path.expanduser(wish))  # leaves the home of an unknown user as it stands; Path.expanduser raises
    if os.path.exists(path):  # Path.exists raises where a name is too long to be one
        return _local(path)
    if wish.startswith(("/", ".", "~")) or "\\" in wish or (wish.endswith(".gguf") and not wish.startswith(_URLS)):
        raise UsageError(f"There is no folder or file at {shown}.")
    return _repo(wish, shown)


def _local(path: Path) -> Local:
    path = path.absolute()
    if path.is_dir():
        return Local(path, gguf=False)
    try:
        with path.open("rb") as file:
            if file.read(4) == b"GGUF":
                return Local(path, gguf=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    raise UsageError(f"{path} is no GGUF file: give a GGUF file, or the folder that holds config.json and the weights.")


def _repo(wish: str, shown: str) -> Repo:
    for start in _URLS:
        wish = wish.removeprefix(start)
    wish, _, revision = wish.strip("/").partition("@")
    name, _, pick = wish.partition(":")
    # An address copied from a browser says which branch and which file one looked at.
    if tree := re.fullmatch(r"([^/]+/[^/]+)/(?:tree|blob|resolve)/([^/]+)(?:/(.+\.gguf))?", name):
        name, revision, pick = tree[1], tree[2], tree[3] or ""
    if not _REPO.fullmatch(name) or ".." in name or "--" in name or name.endswith((".git", ".ipynb")):
        raise UsageError(
            f"{shown!r} is no folder or file here, and no repository either: those are written OWNER/NAME, such as "
            f"Qwen/Qwen3-0.6B, or {', '.join(GPT2)}."
        )
    if revision and not _REVISION.fullmatch(revision):
        raise UsageError(f"{printable(revision)!r} is no branch, tag or commit.")
    return Repo(name, pick, "" if revision == "main" else revision)


def name_for(source: Source, wanted: str | None) -> str:
    """The name of the model's folder: the one wanted, else one made of where it comes from.

    Raises:
        UsageError: the wanted name cannot be a folder's.
    """
    if wanted is not None:
        if not _NAME.fullmatch(wanted) or wanted.lower().endswith(".gguf"):
            raise UsageError(
                f"{printable(wanted)!r} cannot be a model's name: letters, digits, dots, dashes and underscores, 96 at "
                "most, beginning with a letter or digit, and not ending in .gguf."
            )
        return wanted
    if isinstance(source, Repo):
        picked_file = source.pick.lower().endswith(".gguf")
        short = source.id.split("/")[1]
        made = Path(source.pick).stem if picked_file else f"{short}-{source.pick}" if source.pick else short
    else:
        made = _ollama_name(source.path) or (source.path.stem if source.gguf else source.path.name)
    made = re.sub(r"[^A-Za-z0-9._-]+", "-", made).lstrip("._-")
    while made.lower().endswith(".gguf"):
        made = made[:-5]
    return made[:96] or "model"


def _ollama_name(blob: Path) -> str:
    """The name under which Ollama knows the file `blob` of its store, which calls it by its checksum; "" elsewhere."""
    if blob.parent.name != "blobs" or not blob.name.startswith("sha256-"):
        return ""
    digest = blob.name.replace("-", ":", 1)
    for manifest in sorted((blob.parent.parent / "manifests").glob("*/*/*/*")):
        try:
            layers = json.loads(manifest.read_text(encoding="utf-8"))["layers"]
            if any(layer.get("digest") == digest for layer in layers):
                return f"{manifest.parent.name}-{manifest.name}"
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return "ollama-" + blob.name[7:19]
