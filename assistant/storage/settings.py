"""Small things that are kept: settings by name, and the person's own personas."""

from __future__ import annotations

from assistant.storage.base import Base


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
