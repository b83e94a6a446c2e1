"""What can go wrong between here and the Hub, each as one sentence that says what to do."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from assistant.errors import Interrupted, ModelsError
from assistant.models.sources import Repo


class Refused(Exception):
    """The server is busy: 429, or an error of its own."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__("The Hub asks to slow down" if status == 429 else f"The Hub has a fault of its own ({status})")
        self.status, self.headers = status, headers


def retriable(error: Exception) -> bool:
    """Whether it is worth to try the same again."""
    if isinstance(error, OfflineModeIsEnabled | HfHubHTTPError):
        return False
    return isinstance(error, httpx2.TransportError | ConnectionError | TimeoutError)


def asked_to_wait(why: object) -> float | None:
    """Seconds that a refusal asks us to wait; None where it says nothing one can use."""
    if not isinstance(why, Refused):
        return None
    given = why.headers.get("Retry-After", "").strip()
    if not given and (reset := re.search(r"\bt=(\d{1,9})", why.headers.get("RateLimit", ""))):  # '"api";r=0;t=55'
        given = reset[1]
    if given.isdigit():
        return float(min(int(given[:9]), 10**6))
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - time())
    except (ValueError, TypeError):
        return None


def sentence(error: object, repo: Repo, *, began: bool = False) -> ModelsError:
    """`error` for a person. `began`: something of the model may be here already, and stays."""
    hub = constants.ENDPOINT.removeprefix("https://")
    kept = " What has come is kept: add it again to go on." if began else ""
    kind: type[ModelsError] = Interrupted if began else ModelsError
    status = error.status if isinstance(error, Refused) else _status(error)
    if isinstance(error, OfflineModeIsEnabled):
        return ModelsError("HF_HUB_OFFLINE forbids to reach the Hub. Unset it to download.")
    if isinstance(error, GatedRepoError) or (status == 403):
        return ModelsError(
            f"{repo.id} is given only to those who accepted its terms: accept them on {hub}/{repo.id}, make a token "
            "there and set HF_TOKEN to it."
        )
    if isinstance(error, RepositoryNotFoundError):
        return ModelsError(
            f"There is no model {repo.id} on {hub}. Is it spelt right? For a private one, set HF_TOKEN to your token."
        )
    if isinstance(error, RevisionNotFoundError):
        return ModelsError(f"{repo.id} has no branch, tag or commit {repo.revision or 'main'!r}.")
    if isinstance(error, RemoteEntryNotFoundError) or status == 404:
        return ModelsError(f"A file of {repo.id} is no longer on {hub}. Add it again.")
    if status == 401:
        return ModelsError(f"{hub} does not accept the token in HF_TOKEN. Make a new one, or unset it.")
    if status == 429:
        return kind(f"{hub} answers no more for now: too many requests from here. Try again in some minutes.{kept}")
    if status is not None:
        return kind(f"{hub} has a fault of its own ({status}). Try again later.{kept}")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Interrupted("The disk is full. What has come is kept: free some space and add it again.")
    if isinstance(error, httpx2.TimeoutException | TimeoutError):
        return kind(f"{hub} does not answer. Try again later.{kept}")
    if isinstance(error, httpx2.ConnectError | httpx2.ProxyError | ConnectionError):
        return kind(f"{hub} cannot be reached ({_cause(error)}). Is this computer online?{kept}")
    if isinstance(error, httpx2.TransportError | str):
        return kind(f"The connection to {hub} was cut again and again.{kept}")
    if isinstance(error, OSError):
        return kind(f"The model cannot be written: {error.strerror or error}.{kept}")
    return kind(f"{hub} gave an answer that cannot be used ({str(error)[:120]}).{kept}")


def _status(error: object) -> int | None:
    response = getattr(error, "response", None)
    return response.status_code if response is not None else None


def _cause(error: BaseException) -> str:
    """The system's reason at the bottom of a library's chain of errors."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno).lower()
    return " ".join(str(error).split())[:80] or type(error).__name__
