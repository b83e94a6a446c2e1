"""Small things that are kept: settings by name, and the person's own personas."""

from __future__ import annotations

from statistics import median

from assistant.storage.base import Base

LOOKED_AT = 5000  # messages; older ones say little about this machine as it is now
LAST_REPLIES = 30


class Settings(Base):
    """Statements on the tables `settings` and `personas`."""

    def setting(self, key: str, default: str = "") -> str:
        rows = self._all("SELECT value FROM settings WHERE key = ?", key)
        return str(rows[0]["value"]) if rows else default

    def set(self, key: str, value: str) -> None:
        self._run(
            "INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value",
            key,
            value,
        )

    def speeds(self) -> dict[str, float]:
        """How fast each model was here, tokens/s: the median of its last replies of eight tokens or more."""
        rows = self._all(
            "SELECT model, tokens_per_second AS speed FROM messages WHERE id > (SELECT max(id) FROM messages) - ? "
            "AND tokens >= 8 AND tokens_per_second > 0 ORDER BY id DESC",
            LOOKED_AT,
        )
        found: dict[str, list[float]] = {}
        for row in rows:
            speeds = found.setdefault(row["model"] or "", [])
            if len(speeds) < LAST_REPLIES:
                speeds.append(row["speed"])
        return {model: median(speeds) for model, speeds in found.items()}

    def personas(self) -> dict[str, str]:
        """The person's own, by name: what each tells the model."""
        return {row["name"]: row["system"] for row in self._all("SELECT name, system FROM personas ORDER BY name")}

    def save_persona(self, name: str, system: str) -> None:
        self._run(
            "INSERT INTO personas (name, system) VALUES (?, ?) "
            "ON CONFLICT(name) DO UPDATE SET system = excluded.system",
            name,
            system,
        )

    def forget_persona(self, name: str) -> None:
        self._run("DELETE FROM personas WHERE name = ?", name)
