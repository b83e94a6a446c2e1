"""Finding words in all messages: the index first, the text as it stands where that knows nothing."""

from __future__ import annotations

from assistant.storage.base import Base
from assistant.storage.rows import Hit


class Search(Base):
    """Statements on the index."""

    def search(self, text: str, limit: int = 50) -> list[Hit]:
        """Messages with all the words of `text`, best first; where words find nothing, the text as it stands.

        The index knows words between spaces, so a piece of Chinese or Japanese is found by the second way.
        """
        text = text.strip()
        if not text:
            return []
        select = "SELECT m.chat, m.id AS message, c.title, {} AS snippet FROM messages m JOIN chats c ON c.id = m.chat "
        words = self._all(
            select.format("snippet(messages_fts, 0, '«', '»', '…', 12)")
            + "JOIN messages_fts ON messages_fts.rowid = m.id WHERE messages_fts MATCH ? ORDER BY rank LIMIT ?",
            self._db.quote_fts(text) + "*",
            limit,
        )
        if words:
            return [Hit(**row) for row in words]
        pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        literal = self._all(
            select.format("m.content") + "WHERE m.content LIKE ? ESCAPE '\\' ORDER BY m.id DESC LIMIT ?", pattern, limit
        )
        return [Hit(**{**row, "snippet": _around(row["snippet"], text)}) for row in map(dict, literal)]


def _around(content: str, text: str) -> str:
    at = max(content.lower().find(text.lower()), 0)
    start, end = max(at - 30, 0), at + len(text)
    before, after = "…" if start else "", "…" if len(content) > end + 30 else ""
    return f"{before}{content[start:at]}«{content[at:end]}»{content[end : end + 30]}{after}"
