"""`python -m training spam-table`: one scorer on every split, printed as a table.

    python -m training spam-table --data FOLDER --scorer words|characters|hashed|stacked|MODEL_FOLDER [--split NAME …]

The first four are trained on each split's own training part; "stacked" is the scorer that ships, network and all. The
last two of them learn ordinary English and mail written by hand, too, if --english names a folder. A model folder has
been trained already: its numbers mean something only on a split whose training part it was trained on (`python -m
training spam prepare --split NAME`), or on corpora that it has never seen.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from engine.errors import EngineError
from training.errors import TrainingError
from training.spam import baseline
from training.spam.english import english
from training.spam.measures import measure
from training.spam.splits import NAMES, Corpora, Example, Split, example, rewritten
from training.spam.written import by_hand

Train = Callable[[Split], baseline.Trained]


def trainer(scorer: str, work: Path, plain: Sequence[Example] = (), seed: int = 0) -> Train:
    """What trains `scorer` on a split; a folder is opened once, whatever the split. Stacked ones are kept in `work`;
    how much of a row is chance, another `seed` shows.

    Ours also learn from `plain`, ordinary English and mail written by hand.
    """
    if scorer in ("words", "characters"):
        return lambda split: baseline.TfIdf(split.train, scorer)
    if scorer == "hashed":
        return lambda split: baseline.Hashed([*split.train, *plain])
    if scorer == "stacked":
        from training.spam.pipeline import Stacked  # torch: late

        return lambda split: Stacked([*split.train, *plain], work / split.name, seed)
    if not Path(scorer).is_dir():
        raise TrainingError(f"There is no scorer {scorer!r}: words, characters, hashed, stacked, or a model folder.")
    ready = baseline.Folder(Path(scorer))
    return lambda split: ready


def row(split: Split, train: Train) -> tuple[dict[str, Any], baseline.Trained]:
    """The measures of a scorer on `split`, and the scorer."""
    scorer = train(split)
    scorer.probabilities(split.test[:20])
    fresh = [Example(e.raw, e.spam, e.source, e.html, e.subject, e.body) for e in split.test]
    began = time.perf_counter()
    probabilities = scorer.probabilities(fresh)
    rate = len(fresh) / (time.perf_counter() - began)
    measures = measure(probabilities, np.array([e.spam for e in split.test]))
    return {"split": split.name, **asdict(measures), "mails_per_second": rate}, scorer


def rewrites(split: Split, scorer: baseline.Trained, threshold: float) -> list[dict[str, Any]]:
    """Per way of rewriting, the share of the spams caught as they were that are still caught at `threshold`."""
    found = rewritten(split)
    before = scorer.probabilities(found.pop("none")) >= threshold
    rows = []
    for name, examples in found.items():
        after = scorer.probabilities(examples)
        rows.append({"rewrite": name, "still": float((after[before] >= threshold).mean()), "of": int(before.sum())})
    return rows


def show(row: dict[str, Any]) -> str:
    return (
        f"{row['split']:22s} {100 * row['accuracy']:7.2f} % {100 * row['caught']:8.2f} % {row['calibration']:9.4f} "
        f"{row['mails_per_second']:10,.0f} {row['spam']:7,} {row['ham']:7,}"
    )


def run(
    data: Path,
    name: str,
    splits: Sequence[str],
    out: Path | None,
    work: Path,
    plain: Path | None = None,
    more: Sequence[Path] = (),
    seed: int = 0,
) -> None:
    """Measure scorer `name`, print each row when it is there, and write all to `out` as JSON."""
    ordinary = [example(mail) for mail in (*english(plain), *by_hand(more))] if plain else []
    corpora, train = Corpora(data), trainer(name, work / f"seed-{seed}" if seed else work, ordinary, seed)
    click.echo(
        f"{name}\n{'split':22s} {'accuracy':>9s} {'caught':>10s} {'ECE':>9s} {'mails/s':>10s} {'spam':>7s} {'ham':>7s}"
    )
    rows: list[dict[str, Any]] = []
    for split_name in splits:
        split = corpora.split(split_name)
        measured, scorer = row(split, train)
        rows.append(measured)
        click.echo(show(measured))
        if split_name == "random-1":
            for each in rewrites(split, scorer, measured["threshold"]):
                rows.append(each)
                click.echo(f"  {each['rewrite']:20s} {100 * each['still']:7.2f} % of {each['of']} still caught")
        if out is not None:
            out.write_text(json.dumps({"scorer": name, "rows": rows}, indent=1) + "\n", encoding="utf-8")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The folder of the spam corpora.")
@click.option(
    "--scorer", "scorers", multiple=True, default=("hashed",), help="words, characters, hashed, stacked, or a folder."
)
@click.option("--split", "splits", multiple=True, type=click.Choice(NAMES), default=NAMES, help="[default: all]")
@click.option(
    "--english", "plain", type=click.Path(path_type=Path), help="raw/ and chat/: ordinary English that ours learn, too."
)
@click.option(
    "--more",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A file or folder of more mail by hand, which joins --english.",
)
@click.option("--seed", default=0, show_default=True, help="Of a stacked scorer; another shows what is chance.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the rows here as JSON, too.")
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=Path("runs/spam-table"),
    show_default=True,
    help="Where stacked scorers are trained, and kept.",
)
def main(
    data: Path,
    scorers: tuple[str, ...],
    splits: tuple[str, ...],
    plain: Path | None,
    more: tuple[Path, ...],
    seed: int,
    out: Path | None,
    work: Path,
) -> None:
    """Measure spam scorers on the splits of the corpora."""
    try:
        for scorer in scorers:
            run(data, scorer, splits, out, work, plain, more, seed)
    except (TrainingError, EngineError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
