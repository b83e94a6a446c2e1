"""What can go wrong in the lab, each with a sentence for the person at the screen. Torch-free."""

from __future__ import annotations


class TrainingError(Exception):
    """Anything that stops a stage; the text says what is wrong and what to do."""


class RecipeError(TrainingError):
    """A recipe that cannot be followed; the text says what is wrong where."""


# Package → the extra that brings it; training is installed with the app, and these are not.
EXTRAS = {
    **dict.fromkeys(("ftfy", "py3langid", "rensa", "resiliparse", "rustbpe", "tqdm"), "train"),
    **dict.fromkeys(("datatrove", "pyarrow"), "bigdata"),
}


def missing_extra(error: ModuleNotFoundError) -> str | None:
    """The sentence for a package that an extra would have brought; None for any other, which is a mistake of ours."""
    package = (error.name or "").split(".")[0]
    if package not in EXTRAS:
        return None
    return f"The package {package} is missing, which this needs: pip install 'homespun[{EXTRAS[package]}]'."
