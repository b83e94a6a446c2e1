"""The kinds of files that can be read, by their endings. How each is read is `extracting.py`."""

from __future__ import annotations

MARKDOWN = {".md", ".markdown", ".mdown", ".qmd"}
TEXT = {".txt", ".text", ".rst", ".org", ".adoc", ".tex", ".log", ".csv", ".tsv", ""}
HTML = {".html", ".htm", ".xhtml"}
KINDS = {*MARKDOWN, *TEXT, *HTML, ".pdf", ".docx"}
# A folder has many files without an ending that are no documents; one that is named itself is taken as it is.
IN_FOLDERS = KINDS - {"", ".log"}
