"""The app's two own themes; all of Textual's are there beside them."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="homespun-dark",
    primary="#e0a458",
    secondary="#8fb8a8",
    accent="#e0a458",
    foreground="#e6e1d6",
    background="#1d1b19",
    surface="#252220",
    panel="#2e2a27",
    success="#8fb878",
    warning="#e0b458",
    error="#d9736a",
    dark=True,
)
LIGHT = Theme(
    name="homespun-light",
    primary="#9a5b13",
    secondary="#2f6f5e",
    accent="#9a5b13",
    foreground="#2b2723",
    background="#faf6ef",
    surface="#f2ece1",
    panel="#e7dfd1",
    success="#4f7d3a",
    warning="#9a6a13",
    error="#b0413a",
    dark=False,
)
