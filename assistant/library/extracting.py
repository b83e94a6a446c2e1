"""Files → blocks: text, Markdown, HTML, PDF (pypdf) and Word (mammoth). Bad files raise one sentence.

Runs in a process of its own (`indexing.py`): a hostile file may take long and much memory, but nothing else with it.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from assistant.errors import LibraryError
from assistant.library.blocks import Block, markdown_blocks, plain_blocks
from assistant.library.kinds import HTML, KINDS, MARKDOWN
from assistant.text import printable

LARGEST = 50_000_000  # bytes of a file
_LIST = {"li", "dt", "dd", "tr", "p", "pre", "blockquote", "figcaption"}


def extract(path: Path) -> list[Block]:
    """The blocks of the file at `path`.

    Raises:
        LibraryError: it cannot be read, is of an unknown kind, damaged, locked, too large, or has no text in it.
    """
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise LibraryError(f"Files of the kind {kind} cannot be read.")
    try:
        if path.stat().st_size > LARGEST:
            raise LibraryError(f"It is larger than {LARGEST // 1_000_000} MB.")
        data = path.read_bytes()
    except OSError as error:
        raise LibraryError(f"It cannot be read: {error.strerror}.") from error
    if kind == ".pdf":
        blocks = _pdf(data)
    elif kind == ".docx":
        blocks = _word(data)
    elif kind in HTML:
        blocks = html_blocks(_decoded(data))
    else:
        text = _decoded(data)
        blocks = markdown_blocks(text) if kind in MARKDOWN else plain_blocks(text)
    blocks = [Block(printable(b.text).strip("\n"), b.level, b.page) for b in blocks]
    blocks = [b for b in blocks if b.text.strip()]
    if not blocks:
        scanned = " Perhaps it has only pictures of its pages." if kind == ".pdf" else ""
        raise LibraryError(f"There is no text in it.{scanned}")
    return blocks


def _decoded(data: bytes) -> str:
    """Text in UTF-8, in UTF-16 with its mark, or else in Windows' Western European."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    elif b"\0" in data[:8192]:
        raise LibraryError("It is no text.")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252", "replace")
    return printable(text)


def _pdf(data: bytes) -> list[Block]:
    import logging

    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its warnings would stand between the events
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise LibraryError("It is locked by a password.")
        blocks: list[Block] = []
        for number, page in enumerate(reader.pages, 1):
            blocks += plain_blocks(_unbroken(page.extract_text()), number)
        return blocks
    except (LibraryError, MemoryError):
        raise
    except Exception as error:
        raise LibraryError("It is damaged, or no PDF.") from error


def _unbroken(text: str) -> str:
    """A page's lines as paragraphs: words hyphenated at line ends joined, lines that go on put together."""
    text = re.sub(r"(?<=\w)-\n(?=[a-zà-ÿ])", "", printable(text))
    return re.sub(r"(?<![.!?:\n])\n(?=[^\W\d_A-Z])", " ", text)


def _word(data: bytes) -> list[Block]:
    import mammoth

    try:
        return html_blocks(mammoth.convert_to_html(io.BytesIO(data)).value)
    except MemoryError:
        raise
    except Exception as error:
        raise LibraryError("It is damaged, or no Word document.") from error


def html_blocks(page: str) -> list[Block]:
    """The paragraphs, headings, list items and table rows of a page of HTML, in its order."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(page)
    for node in tree.css("script, style, nav, template"):
        node.decompose()
    blocks: list[Block] = []
    for node in tree.css("h1, h2, h3, h4, h5, h6, " + ", ".join(sorted(_LIST))):
        if any(child.tag in _LIST for child in node.css("*") if child.mem_id != node.mem_id):
            continue  # its parts come by themselves
        text = node.text(separator=" " if node.tag == "tr" else "", strip=node.tag == "tr").strip()
        if node.tag != "pre":
            text = " ".join(text.split())
        if text:
            blocks.append(Block(text, int(node.tag[1]) if node.tag in ("h1", "h2", "h3", "h4", "h5", "h6") else 0))
    return blocks or plain_blocks(tree.body.text() if tree.body else "")
