"""What Ollama needs beside the GGUF file: a Modelfile with the chat template in its own language and the sampling."""

from __future__ import annotations

import json
from pathlib import Path

from engine.catalog import read_json
from engine.errors import TemplateError
from engine.files.model_folder import open_model
from engine.text.chat_template import ChatTemplate
from training.export.disk import whole_file
from training.export.gguf_export import export_gguf

PROBE = [
    {"role": "system", "content": "S1"},
    {"role": "user", "content": "U1"},
    {"role": "assistant", "content": "A1"},
    {"role": "user", "content": "U2"},
]
# How each family writes the probe (Python) and any chat (Go's templates, as Ollama reads them), and where a turn ends.
KNOWN: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "ChatML": (
        "<|im_start|>system\nS1<|im_end|>\n<|im_start|>user\nU1<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n"
        "<|im_start|>user\nU2<|im_end|>\n<|im_start|>assistant\n",
        "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n",
        ("<|im_end|>", "<|im_start|>"),
    ),
    "Llama 3": (
        "<|start_header_id|>system<|end_header_id|>\n\nS1<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nU1"
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nA1<|eot_id|><|start_header_id|>user<|end_header_id|>"
        "\n\nU2<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "{{- range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n{{ .Content }}<|eot_id|>{{ end }}"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ("<|eot_id|>", "<|start_header_id|>"),
    ),
    "Zephyr": (
        "<|system|>\nS1</s>\n<|user|>\nU1</s>\n<|assistant|>\nA1</s>\n<|user|>\nU2</s>\n<|assistant|>\n",
        "{{- range .Messages }}<|{{ .Role }}|>\n{{ .Content }}</s>\n{{ end }}<|assistant|>\n",
        ("</s>", "<|user|>"),
    ),
}
SAMPLING = {"temperature": "temperature", "top_k": "top_k", "top_p": "top_p", "repetition_penalty": "repeat_penalty"}


def export_ollama(source: Path, out: Path, kind: str = "f16") -> list[str]:
    """Write folder `out` with the GGUF file and its Modelfile; returns sentences for the person at the screen.

    Raises:
        ExportError, ModelFolderError: as `gguf_export.export_gguf`.
    """
    file = out / f"{out.name}.gguf"
    notes = export_gguf(source, file, kind)
    text, more = modelfile(source, file.name)
    with whole_file(out / "Modelfile") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return [*notes, *more, f"To use it: ollama create {out.name} -f {out / 'Modelfile'}"]


def modelfile(source: Path, file: str) -> tuple[str, list[str]]:
    """(the Modelfile for GGUF file `file` beside it, sentences about what it leaves to Ollama)."""
    opened, notes = open_model(source), []
    lines = [f"FROM ./{file}"]
    if opened.template is None:
        lines.append('TEMPLATE """{{ .Prompt }}"""')  # a base model goes on with what it is given
    elif (known := family_of_template(opened.template)) is not None:
        _, template, stops = KNOWN[known]
        lines.append(f'TEMPLATE """{template}"""')
        lines += [f"PARAMETER stop {json.dumps(stop)}" for stop in stops]
    else:
        notes.append(
            "The chat template is none that is known here in Ollama's language; Ollama looks for one by itself."
        )
    lines.append(f"PARAMETER num_ctx {min(opened.config.context_length, 8192)}")
    path = source / "generation_config.json"
    given = read_json(path) if path.is_file() else {}
    lines += [f"PARAMETER {theirs} {given[ours]}" for ours, theirs in SAMPLING.items() if given.get(ours) is not None]
    training = read_json(source / "training.json") if (source / "training.json").is_file() else {}
    if licence := training.get("licence"):
        lines.append(f'LICENSE """{licence}"""')
    return "\n".join(lines) + "\n", notes


def family_of_template(template: ChatTemplate) -> str | None:
    """Which of the known ways of writing a chat this template is, seen from what it makes of one.

    A beginning that is written before every chat (the token that a text begins with) is Ollama's own business.
    """
    try:
        made = written_chat(template, PROBE)
    except TemplateError:
        return None
    return next(
        (name for name, (probe, _, _) in KNOWN.items() if made.removeprefix("<|begin_of_text|>") == probe), None
    )


def written_chat(template: ChatTemplate, messages: list[dict[str, str]], *, answer: bool = True) -> str:
    """A chat as one text, special tokens by their names."""
    names = {token: name for name, token in template.tokenizer.special_tokens.items()}
    ids = template.encode(messages, answer=answer)
    parts = (names[i].encode() if i in names else template.tokenizer.token_bytes(i) for i in ids)
    return b"".join(parts).decode("utf-8", "replace")
