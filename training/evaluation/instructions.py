"""Asking a model to follow instructions that a program can check; what is checked how is `verifiers.py`."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from training.errors import TrainingError
from training.evaluation.verifiers import loosened, verify

INSTRUCTIONS = Path(__file__).parent / "instructions.toml"


@dataclass(frozen=True)
class Instruction:
    """A prompt and what its reply has to keep to: verifier → its values."""

    prompt: str
    group: str
    verifiers: Mapping[str, Mapping[str, Any]]


def read_instructions(path: Path = INSTRUCTIONS) -> list[Instruction]:
    """The instructions in `path`: tables `[[instruction]]` with prompt, group and a table of verifiers.

    Raises:
        TrainingError: missing, no TOML, or a verifier that is not there.
    """
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8")).get("instruction", [])
        read = [Instruction(row["prompt"], row.get("group", "all"), row["verify"]) for row in rows]
    except OSError as error:
        raise TrainingError(f"The instructions {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(f"{path} is no list of instructions ({error}).") from error
    if not read:
        raise TrainingError(f"{path} has no [[instruction]].")
    for one in read:
        for name, values in one.verifiers.items():
            verify(name, values, "probe")  # an unknown name is found before an hour's replies
    return read


def follow(ask: Callable[[str], str], instructions: Sequence[Instruction]) -> dict[str, Any]:
    """Shares of prompts with every, and of single, instructions kept: strictly, and loosely (verifiers.loosened).

    `ask` gives the model's reply to a prompt.
    """
    totals: Counter[str] = Counter()
    groups: dict[str, Counter[str]] = {}
    rows = []
    for one in tqdm(instructions, desc="instructions", mininterval=1.0, disable=None):
        reply = ask(one.prompt)
        strict = {name: verify(name, values, reply) for name, values in one.verifiers.items()}
        loose = {n: any(verify(n, v, text) for text in loosened(reply)) for n, v in one.verifiers.items()}
        totals.update(prompts=1, strict=all(strict.values()), loose=all(loose.values()))
        totals.update(single=len(strict), single_strict=sum(strict.values()), single_loose=sum(loose.values()))
        groups.setdefault(one.group, Counter()).update(passed=all(strict.values()), tried=1)
        rows.append({"prompt": one.prompt, "reply": reply, "kept": strict})
    return {
        "prompts": totals["prompts"],
        "instructions": totals["single"],
        "prompt_strict": round(totals["strict"] / max(totals["prompts"], 1), 4),
        "prompt_loose": round(totals["loose"] / max(totals["prompts"], 1), 4),
        "instruction_strict": round(totals["single_strict"] / max(totals["single"], 1), 4),
        "instruction_loose": round(totals["single_loose"] / max(totals["single"], 1), 4),
        "groups": {group: {"passed": c["passed"], "tried": c["tried"]} for group, c in groups.items()},
        "rows": rows,
    }
