"""`python -m engine.check PATH`: can this engine open the model folder or GGUF file at PATH? One JSON object on stdout.

Reads everything but the weights' numbers, so it is quick for any size. The app runs it before it takes a model in. Of a
PATH that is a config.json, only whether models of its kind can be opened: asked while the weights are still coming.
Exit status 0 and {"ok": true, "name", "architecture", "parameters", "context_length", "weights_bytes", "has_template",
"licence"},
or 2 and {"ok": false, "code", "message"}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def examine_config(path: Path) -> dict[str, Any]:
    """What config.json at `path` says of the model, without anything else of it.

    Raises:
        EngineError: models of this kind cannot be opened.
    """
    from engine.catalog import read_json
    from engine.files.architectures import find_architecture, from_hugging_face

    data = read_json(path)
    find_architecture(data)
    return {"ok": True, "architecture": data["model_type"], "context_length": from_hugging_face(data).context_length}


def examine(path: Path) -> dict[str, Any]:
    """The facts about the model at `path`.

    Raises:
        EngineError: it cannot be opened.
    """
    from engine.files.model_folder import open_model
    from engine.files.weights import check

    opened = open_model(path)
    files = [path] if path.is_file() else [f for f in path.iterdir() if f.suffix in (".safetensors", ".bin", ".gguf")]
    return {
        "ok": True,
        "name": path.stem,
        "architecture": opened.architecture,
        "parameters": check(opened.config, opened.weights),
        "context_length": opened.config.context_length,
        "weights_bytes": sum(file.stat().st_size for file in files),
        "has_template": opened.template is not None,
        "licence": opened.licence,
    }


def main() -> int:
    """Print the facts or the reason; returns the exit status."""
    from engine.errors import EngineError

    try:
        path = Path(sys.argv[1])
        result = examine_config(path) if path.name == "config.json" else examine(path)
    except EngineError as error:
        result = {"ok": False, "code": error.code, "message": str(error)}
    except Exception as error:  # noqa: BLE001 - the process's edge: the app must hear of it, whatever it is
        message = f"The model cannot be opened ({type(error).__name__}: {str(error)[:200]})."
        result = {"ok": False, "code": "internal", "message": message}
    print(json.dumps(result))  # noqa: T201
    return 0 if result["ok"] else 2


if __name__ == "__main__":
    sys.exit(main())
