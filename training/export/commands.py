"""`python -m training export --model FOLDER …`: a model that is there, as other programs want it.

Exporting a run, with a recipe in place of `--model`, is `export.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from engine.errors import EngineError
from training.errors import TrainingError

ENDINGS = {"gguf": ".gguf", "hf": "-hf", "ollama": "-ollama"}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--model", "name", required=True, help="A model's name, or the path of its folder or GGUF file.")
@click.option("--to", "target", type=click.Choice(list(ENDINGS)), required=True, help="What to make of it.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(["f16", "q8_0", "bf16", "f32"]),
    help="What the matrices are kept in [default: bf16 for hf, f16 for the others].",
)
@click.option("--out", type=click.Path(path_type=Path), help="The file or folder to write [default: beside you].")
def export_model(name: str, target: str, kind: str | None, out: Path | None) -> None:
    """Write a model for transformers (hf), llama.cpp (gguf) or Ollama. Adapters are merged into their base."""
    try:
        _export(name, target, kind or ("bf16" if target == "hf" else "f16"), out)
    except (TrainingError, EngineError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        click.echo(f"Error: {error.filename or 'the export'}: {error.strerror}.", err=True)
        sys.exit(2)


def _export(name: str, target: str, kind: str, out: Path | None) -> None:
    from engine.catalog import find  # late, with what comes behind it: torch takes a second
    from training.export.disk import written
    from training.export.gguf_export import export_gguf
    from training.export.hugging_face import export_hugging_face
    from training.export.ollama import export_ollama

    path = Path(name)
    source = path if path.exists() else find(name).path
    ending = f"-{kind}{ENDINGS[target]}" if target == "gguf" else ENDINGS[target]
    out = out or Path(f"{source.resolve().stem}{ending}")
    if target == "hf":
        export_hugging_face(source, out, kind)
        notes: list[str] = []
    else:
        notes = (export_gguf if target == "gguf" else export_ollama)(source, out, kind)
    for note in notes:
        click.echo(note)
    for file, size, digest in written(out):
        click.echo(f"{digest}  {size:>13,} bytes  {file}")
