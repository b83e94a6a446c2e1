"""The Hub: what is in a repository, and fetching its files, each whole, checked, and resumable after any cut.

Runs in the child process of `fetch.py`. huggingface_hub makes the requests and knows addresses, tokens and errors; its
own `hf_hub_download` begins anew in every process, so going on where a file's bytes ended is done here, over plain
HTTP. The sentences for people are in `hub_errors.py`.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import HfApi, constants, get_session, hf_hub_url
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from assistant.errors import Interrupted, ModelsError
from assistant.models.events import Tell
from assistant.models.hub_errors import Refused, asked_to_wait, retriable, sentence
from assistant.models.selection import LARGEST_SMALL, SMALL, choose, licence_of
from assistant.models.sources import Repo

TRIES = 5  # in a row without getting on
GETTING_ON = 1 << 16  # bytes: a connection that brought this many was worth making
LONGEST_WAIT = 120  # seconds a server may ask us to wait before we rather give up for now
FIRST_CONTACT = constants.HF_HUB_ETAG_TIMEOUT  # seconds
AGENT = "homespun"


@dataclass(frozen=True)
class RemoteFile:
    name: str  # in the repository
    target: str  # in the model's folder
    size: int  # bytes
    sha256: str | None
    blob: str | None  # git's SHA-1, for files that are no large ones

    @property
    def part(self) -> str:
        """The name of what has come so far; another version of the file has another."""
        return f".{(self.sha256 or self.blob or 'file')[:16]}-{self.target}.part"


@dataclass(frozen=True)
class RepoPlan:
    """What is to be fetched, of one commit."""

    id: str
    revision: str  # the commit
    licence: str | None
    parameters: int | None  # as the Hub counts them
    files: tuple[RemoteFile, ...]  # small ones first

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def look_up(repo: Repo) -> RepoPlan:
    """Ask the Hub what is in `repo`, and choose.

    Raises:
        ModelsError, Interrupted: in one sentence.
    """
    try:
        info = HfApi(library_name=AGENT).model_info(
            repo.id, revision=repo.revision or "main", files_metadata=True, timeout=FIRST_CONTACT
        )
        siblings = {s.rfilename: s for s in info.siblings or () if isinstance(s.rfilename, str)}
        files = [_remote(siblings[name], target) for name, target in choose(siblings, repo.pick).items()]
        card = dict(info.card_data.to_dict()) if info.card_data else None
        total = info.safetensors.total if info.safetensors else (info.gguf or {}).get("total")
        return RepoPlan(
            repo.id,
            str(info.sha),
            licence_of(card, [tag for tag in info.tags or () if isinstance(tag, str)]),
            total if isinstance(total, int) and not repo.pick else None,
            tuple(sorted(files, key=lambda file: (file.target not in SMALL, file.target))),
        )
    except ModelsError as error:
        raise ModelsError(f"{repo.id} cannot be added: {error}.") from None
    except (httpx2.HTTPError, OSError) as error:
        raise sentence(error, repo) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelsError(f"What the Hub says about {repo.id} cannot be understood ({str(error)[:120]}).") from error


def _remote(sibling: Any, target: str) -> RemoteFile:
    size = sibling.lfs.size if sibling.lfs else sibling.size
    if not isinstance(size, int) or size < 0:
        raise ModelsError(f"the Hub does not say how large {sibling.rfilename} is")
    if target in SMALL and size > LARGEST_SMALL:
        raise ModelsError(f"its {sibling.rfilename} is {size / 1e6:,.0f} MB, which cannot be right")
    return RemoteFile(sibling.rfilename, target, size, sibling.lfs.sha256 if sibling.lfs else None, sibling.blob_id)


def already(plan: RepoPlan, folder: Path) -> int:
    """Bytes of `plan` that lie in `folder` already; parts of files that are not wanted any more are deleted."""
    wanted = {name for file in plan.files for name in (file.part, file.target)}
    for path in folder.iterdir():
        if path.is_file() and path.name not in wanted:
            path.unlink()
    return sum(min(_size(folder / f.part) or _size(folder / f.target), f.size) for f in plan.files)


def fetch(plan: RepoPlan, folder: Path, tell: Tell, stall: float) -> dict[str, str]:
    """Bring every file of `plan` into `folder`; returns their SHA-256 by name. `stall`: seconds without a byte.

    Raises:
        Interrupted: it could not be finished now; what has come stays.
        ModelsError: it cannot be finished.
    """
    sums, before = {}, 0
    for file in plan.files:

        def tell_all(kind: str, _before: int = before, **fields: Any) -> None:
            tell(kind, **(fields | {"done": _before + fields["done"]} if kind == "bytes" else fields))

        sums[file.target] = _whole(plan, file, folder, tell_all, stall)
        before += file.size
    tell("bytes", done=before)
    return sums


def _whole(plan: RepoPlan, file: RemoteFile, folder: Path, tell: Tell, stall: float) -> str:
    """`file` in `folder`, its checksum right; a damaged one is fetched once more."""
    part, target = folder / file.part, folder / file.target
    if target.is_file():
        target.rename(part)  # from an earlier run: checked again
    for attempt in (1, 2):
        _bring(plan, file, part, tell, stall)
        tell("checking", name=file.target)
        sha256, right = _checked(part, file)
        if right:
            part.rename(target)
            tell("here", name=file.target)
            return sha256
        part.unlink()
        if attempt == 1:
            tell("note", text=f"{file.target} arrived damaged; fetching it once more.")
    raise Interrupted(
        f"{file.target} of {plan.id} arrived damaged twice: its checksum is not what the Hub says. Try again later."
    )


def _checked(path: Path, file: RemoteFile) -> tuple[str, bool]:
    """(SHA-256, whether the contents are what the Hub names): by SHA-256 for large files, by git's SHA-1 for others."""
    sha256, sha1 = hashlib.sha256(), hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as opened:
        while block := opened.read(1 << 20):
            sha256.update(block)
            if file.sha256 is None:
                sha1.update(block)
    same = path.stat().st_size == file.size
    if file.sha256 is not None:
        return sha256.hexdigest(), same and sha256.hexdigest() == file.sha256
    return sha256.hexdigest(), same and (not file.blob or sha1.hexdigest() == file.blob)


def _bring(plan: RepoPlan, file: RemoteFile, part: Path, tell: Tell, stall: float) -> None:
    """Fetch until `part` has the file's size, going on where it ends after each interruption."""
    failures = 0
    part.touch()
    while (have := _size(part)) != file.size:
        if have > file.size:
            part.unlink()
            part.touch()
            have = 0
        try:
            _stream(plan, file, part, have, tell, stall)
            why: Exception | str = "the connection was closed early"
        except Refused as refused:
            why = refused
        except (httpx2.HTTPError, OSError) as error:
            if not retriable(error):
                raise sentence(error, Repo(plan.id)) from error
            why = error
        got = _size(part) - have
        if got + have == file.size:
            return
        failures = 0 if got >= GETTING_ON else failures + 1
        if failures >= TRIES:
            raise sentence(why, Repo(plan.id), began=True)
        wait = asked_to_wait(why)
        if wait is not None and wait > LONGEST_WAIT:
            raise Interrupted(f"The Hub asks to wait {wait / 60:.0f} minutes. What has come is kept: add it again.")
        wait = wait if wait is not None else min(2 ** max(0, failures - 1), 8) * stall / 15  # as patient as one is
        tell("note", text=f"{_reason(why, stall)}; trying again" + (f" in {wait:.0f} s" if wait >= 1 else "") + ".")
        time.sleep(wait)


def _reason(why: Exception | str, stall: float) -> str:
    if isinstance(why, httpx2.TimeoutException):
        return f"Nothing has come for {stall:.0f} s"
    if isinstance(why, Refused):
        return str(why)
    return "The connection was cut"


def _stream(plan: RepoPlan, file: RemoteFile, part: Path, have: int, tell: Tell, stall: float) -> None:
    """Append what the server sends to `part`, which has `have` bytes; never more than the file has."""
    url = hf_hub_url(plan.id, file.name, revision=plan.revision)
    headers = build_hf_headers(library_name=AGENT) | {
        "Accept-Encoding": "identity"
    }  # sizes are those of the files themselves
    if have:
        headers["Range"] = f"bytes={have}-"
    timeout = httpx2.Timeout(stall, connect=FIRST_CONTACT)
    with get_session().stream("GET", url, headers=headers, timeout=timeout) as response:
        if response.status_code == 429 or response.status_code >= 500:
            raise Refused(response.status_code, response.headers)
        if response.status_code == 416:  # it no longer has what we want the rest of
            part.unlink()
            return
        hf_raise_for_status(response)
        goes_on = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        have = have if goes_on else 0
        with part.open("ab" if goes_on else "wb") as out:
            for block in response.iter_bytes():
                out.write(block[: file.size - have])
                have += len(block)
                tell("bytes", done=min(have, file.size))
                if have >= file.size:
                    return


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
