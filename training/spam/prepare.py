"""Writes the training files of the spam classifier: `python -m training.spam.prepare --data FOLDER --out FOLDER`.

Each row of `train.jsonl` and `valid.jsonl` has `text` (the normaliser's), `label` ("spam" or "not spam"), `source` and
`accent` (0: as it was sent). Labels are balanced within each source. With --split the mails of that split's test part
are left out of both, so that the model can be measured on it (`python -m training spam-table --split NAME`).
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from engine.email_text.normalise import VERSION, for_model
from training.errors import TrainingError
from training.spam.accent import vary
from training.spam.classical import held_out
from training.spam.corpora import CORPORA
from training.spam.rewrites import REWRITES
from training.spam.splits import NAMES, Corpora, Example, sample

LABELS = {True: "spam", False: "not spam"}


def balanced(examples: Sequence[Example], seed: int) -> list[Example]:
    """`examples` of one source with as many of one label as of the other: the rarer are repeated, at most three times,
    the commoner drawn from."""
    rng = random.Random(seed)
    kinds = {spam: [e for e in examples if e.spam == spam] for spam in (True, False)}
    few, many = sorted(kinds.values(), key=len)
    few = (few * 3)[: max(len(few), min(len(many), 3 * len(few)))]
    chosen = few + rng.sample(many, min(len(many), len(few)))
    rng.shuffle(chosen)
    return chosen


def rows(examples: Sequence[Example], accents: int, disguised: float, seed: int) -> Iterator[dict[str, Any]]:
    """The rows of `examples`: each as it is, `accents` variations, and a share `disguised` of the spam rewritten.

    A double text stays out: an example that `balanced` repeats comes back only in other accents.
    """
    rng = random.Random(seed)
    ham = [e.body for e in examples if not e.spam] or ["See you tomorrow."]
    seen: set[str] = set()
    for number, example in enumerate(examples):
        made = [(example.text, 0)]
        for accent in range(1, accents + 1):
            made.append((for_model(*vary(example.body, example.subject, seed + number * 101 + accent)), accent))
        if example.spam and rng.random() < disguised:
            rewrite = REWRITES[rng.choice(sorted(REWRITES))]
            body, subject, html = rewrite(example.body, example.subject, rng, ham)
            made.append((Example(body, True, example.source, html, subject, body).text, accents + 1))
        for text, accent in made:
            if text.strip() and text not in seen:
                seen.add(text)
                yield {"text": text, "label": LABELS[example.spam], "source": example.source, "accent": accent}


def prepare(
    data: Path, out: Path, *, split: str | None, accents: int, disguised: float, most: int, seed: int
) -> dict[str, Any]:
    """Write the files into `out` and return the report that stands beside them as report.json."""
    corpora = Corpora(data)
    if split is None:
        examples = [e for source in CORPORA for e in sample(corpora.mails(source), most, seed)]
    else:
        examples = corpora.split(split).train
    return write_files(examples, out, split=split, accents=accents, disguised=disguised, seed=seed)


def write_files(
    examples: Sequence[Example], out: Path, *, split: str | None, accents: int, disguised: float, seed: int
) -> dict[str, Any]:
    """The same for `examples` that are there already; `split` is for the report."""
    out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"normaliser_version": VERSION, "split": split, "seed": seed, "accents": accents}
    for name, wanted in (("train", False), ("valid", True)):
        part = [e for e in examples if held_out(e) == wanted]
        if wanted:  # held-out mail is measured as it is: no accents, no balance
            made = list(rows(part, 0, 0.0, seed))
        else:
            sources = sorted({e.source for e in part})
            part = [e for source in sources for e in balanced([e for e in part if e.source == source], seed)]
            made = list(rows(part, accents, disguised, seed))
            random.Random(seed).shuffle(made)
        with (out / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in made)
        report[name] = {"/".join(key): n for key, n in sorted(Counter((r["source"], r["label"]) for r in made).items())}
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The folder of the spam corpora.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where train.jsonl and valid.jsonl go.")
@click.option("--split", type=click.Choice(NAMES), help="Leave this split's test part out.")
@click.option("--accents", default=2, show_default=True, help="Variations of each mail besides itself.")
@click.option("--disguised", default=0.5, show_default=True, help="Share of the spam that is rewritten as spammers do.")
@click.option("--most", default=10_000, show_default=True, help="Mails of one source at most.")
@click.option("--seed", default=1, show_default=True)
def main(data: Path, out: Path, split: str | None, accents: int, disguised: float, most: int, seed: int) -> None:
    """Write the training files of the spam classifier."""
    try:
        report = prepare(data, out, split=split, accents=accents, disguised=disguised, most=most, seed=seed)
    except TrainingError as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
