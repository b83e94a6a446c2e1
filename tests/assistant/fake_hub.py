"""A Hub on 127.0.0.1 that speaks what huggingface_hub asks for, and misbehaves when told to.

Small files come from /resolve itself, large ones from another address that /resolve sends one to, as on the real one.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = 10_000  # bytes from which a file is kept as a large one
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Fault:
    """What goes wrong with the next GET of a file's contents."""

    cut: int | None = None  # close the connection after so many bytes
    stall: int | None = None  # send no more after so many bytes, until the hub is closed
    flip: int | None = None  # this byte is wrong
    status: int | None = None  # answer with this status instead
    headers: dict[str, str] = field(default_factory=dict)
    ignore_range: bool = False


@dataclass
class Repository:
    files: dict[str, bytes]
    card: dict[str, Any] = field(default_factory=lambda: {"license": "mit"})
    gated: bool = False
    extra: dict[str, Any] = field(default_factory=dict)  # put over what /api says
    sizes: dict[str, int] = field(default_factory=dict)  # lies about files' sizes


class FakeHub:
    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.faults: dict[str, list[Fault]] = defaultdict(list)  # by file name, one a request
        self.api_faults: list[Fault] = []
        self.requests: list[tuple[str, str, str]] = []  # method, path, Range
        self.sent = 0  # bytes of contents
        self.slow = 0.0  # seconds between two pieces of 64 KiB
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.hub = self  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def asked(self, part: str) -> list[str]:
        """The ranges of all GETs whose path has `part` in it."""
        return [given for method, path, given in self.requests if method == "GET" and part in path]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def blob_id(data: bytes) -> str:
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


def _in_tree(entry: dict[str, Any]) -> dict[str, Any]:
    """The same facts as /tree names them."""
    told = {"type": "file", "path": entry["rfilename"], "oid": entry["blobId"], "size": entry["size"]}
    if "lfs" in entry:
        told["lfs"] = {"oid": entry["lfs"]["sha256"], "size": entry["size"], "pointerSize": 134}
    return told


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> FakeHub:
        return self.server.hub  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.requests.append((self.command, path, self.headers.get("Range", "")))
        parts = path.split("/")
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            self._api("/".join(parts[2:4]), parts[4:])
        elif parts[0] == "cdn":
            assert "Authorization" not in self.headers
            repository = self.hub.repositories["/".join(parts[1:3])]
            self._contents(repository, "/".join(parts[3:]), {})
        elif len(parts) >= 5 and parts[2] == "resolve":
            self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self._json(404, {"error": "not found"})

    def _repository(self, name: str, revision: str) -> Repository | None:
        """None when an error has been answered."""
        repository = self.hub.repositories.get(name)
        if repository is None:
            self._json(401, {"error": "Invalid username or password."}, {"X-Error-Code": "RepoNotFound"})
        elif repository.gated and "Authorization" not in self.headers:
            self._json(403, {"error": "gated"}, {"X-Error-Code": "GatedRepo"})
        elif revision not in ("main", COMMIT):
            self._json(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
        else:
            return repository
        return None

    def _api(self, name: str, rest: list[str]) -> None:
        if self.hub.api_faults:
            fault = self.hub.api_faults.pop(0)
            if fault.stall is not None:
                self.hub.closing.wait(60)
                return
            self._json(fault.status or 500, {"error": "busy"}, fault.headers)
            return
        # The real one tells of a gated repository what is in it, and keeps only the files to itself.
        repository = self.hub.repositories.get(name)
        gated, revision = repository is not None and repository.gated, rest[1] if len(rest) > 1 else "main"
        if repository is None or (not gated and self._repository(name, revision) is None):
            if repository is None:
                self._repository(name, revision)
            return
        entries = [self._entry(repository, file, data) for file, data in repository.files.items()]
        if rest[:1] == ["tree"]:
            self._json(200, [_in_tree(entry) for entry in entries])
            return
        told: dict[str, Any] = {"_id": "1", "id": name, "modelId": name, "sha": COMMIT, "private": False}
        told |= {"gated": "manual" if repository.gated else False, "tags": ["text-generation"], "siblings": entries}
        self._json(200, told | {"cardData": repository.card} | repository.extra)

    def _entry(self, repository: Repository, file: str, data: bytes) -> dict[str, Any]:
        size = repository.sizes.get(file, len(data))
        entry: dict[str, Any] = {"rfilename": file, "size": size, "blobId": blob_id(data)}
        if len(data) >= LARGE:
            entry["lfs"] = {"sha256": sha256(data), "size": size, "pointerSize": 134}
        return entry

    def _resolve(self, name: str, revision: str, file: str) -> None:
        repository = self._repository(name, revision)
        if repository is None:
            return
        if file not in repository.files:
            self._json(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        data = repository.files[file]
        if len(data) < LARGE:
            self._contents(repository, file, {"ETag": f'"{blob_id(data)}"', "X-Repo-Commit": COMMIT})
            return
        elsewhere = self.hub.url.replace("127.0.0.1", "localhost")  # another host, which must not see the token
        headers = {"Location": f"{elsewhere}/cdn/{name}/{file}", "X-Repo-Commit": COMMIT}
        headers |= {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{sha256(data)}"', "Content-Length": "0"}
        self._head(302, headers)

    def _contents(self, repository: Repository, file: str, headers: dict[str, str]) -> None:
        data, faults = repository.files[file], self.hub.faults[file]
        fault = faults.pop(0) if faults and self.command == "GET" else Fault()
        if fault.status:
            self._json(fault.status, {"error": "busy"}, fault.headers)
            return
        if fault.flip is not None:
            data = data[: fault.flip] + bytes([data[fault.flip] ^ 1]) + data[fault.flip + 1 :]
        given, total, status = self.headers.get("Range", ""), len(data), 200
        if given and not fault.ignore_range:
            start = int(given.removeprefix("bytes=").split("-")[0])
            if start >= total:
                self._json(416, {}, {"Content-Range": f"bytes */{total}"})
                return
            data, status = data[start:], 206
            headers = headers | {"Content-Range": f"bytes {start}-{total - 1}/{total}"}
        self._head(status, headers | {"Content-Length": str(len(data)), "Accept-Ranges": "bytes"})
        if self.command == "GET":
            self._send(data, fault)

    def _send(self, data: bytes, fault: Fault) -> None:
        end = next((at for at in (fault.cut, fault.stall) if at is not None), len(data))
        try:
            for start in range(0, end, 1 << 16):
                self.wfile.write(data[start : min(end, start + (1 << 16))])
                self.wfile.flush()
                self.hub.sent += min(end, start + (1 << 16)) - start
                if self.hub.slow:
                    time.sleep(self.hub.slow)
        except ConnectionError:
            self.close_connection = True
            return
        if fault.stall is not None:
            self.hub.closing.wait(60)
        if end < len(data):
            self.close_connection = True

    def _json(self, status: int, data: object, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(data).encode()
        self._head(status, {"Content-Type": "application/json", "Content-Length": str(len(body))} | (headers or {}))
        if self.command == "GET":
            self.wfile.write(body)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
