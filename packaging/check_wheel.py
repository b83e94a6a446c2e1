"""Builds the source archive and from it the wheel: is what the wheel must carry in it, and nothing else?

Exit status 1 when it is not.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
NEEDED = (
    "assistant/app.py",
    "assistant/cli.py",
    "assistant/models/hub.py",
    "engine/worker.py",
    "training/data/prepare.py",
    "training/recipes/homespun-v0.toml",
    "training/recipes/homespun-spam.toml",
    "training/recipes/tiny.toml",
    "training/sample/dialogues.jsonl",
    "engine/bundled/homespun-v0/model.safetensors",
    "engine/bundled/homespun-v0/tokenizer.json",
    "engine/bundled/homespun-v0/README.md",
    "engine/email_text/words.txt",
    "engine/run/compiled/machine_code/x86_64-avx2.so",
    "engine/run/compiled/machine_code/x86_64-avx512-vnni.so",
    "engine/spam/topics.txt",
    *(
        f"training/spam/written/{theme}.txt"
        for theme in ("assorted", "commerce", "lists", "pairs-accounts", "pairs-worktools", "personal", "recent")
    ),
    "engine/scorers/homespun-spam-classical/model.safetensors",
    "engine/scorers/homespun-spam/config.json",
    "engine/scorers/homespun-spam/memory.npz",
    "engine/scorers/homespun-spam/neural/model.safetensors",
    "engine/scorers/homespun-spam/classical/model.safetensors",
)
TOP_LEVEL = {"assistant", "engine", "training"}
MOST_MEGABYTES = 80  # PyPI takes 100


def build(folder: Path) -> Path:
    """The wheel of this checkout, built by way of the source archive into `folder` with the build tools installed."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    return wheel


def faults(wheel: Path) -> list[str]:
    """What is wrong with `wheel`, a sentence each."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry = [archive.read(n).decode() for n in names if n.endswith("entry_points.txt")]
    found = [f"{name} is missing" for name in NEEDED if name not in names]
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    found += [f"{top} must not be in it" for top in sorted(tops - TOP_LEVEL)]
    found += [f"{name} must not be in it" for name in names if "__pycache__" in name or name.endswith(".pt")]
    if not entry or "homespun" not in entry[0]:
        found.append("the command `homespun` is missing")
    if not any("licenses/LICENSE" in name for name in names):
        found.append("the licence is missing")
    megabytes = wheel.stat().st_size / 1e6
    if megabytes > MOST_MEGABYTES:
        found.append(f"it is {megabytes:.0f} MB; at most {MOST_MEGABYTES} are allowed")
    return found


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder))
        wrong = faults(wheel)
        for fault in wrong:
            print(f"{wheel.name}: {fault}", file=sys.stderr)
        if not wrong:
            print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, complete")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
