"""Writes the training files of the spam scorer: `python -m training spam prepare --data FOLDER --out FOLDER`.

Each row of `train.jsonl` and `valid.jsonl` has `text` (the normaliser's), `label` ("spam" or "not spam"), `source`,
`fold` (rows made of one mail share it, and no row is made of mails of two), `kind` (see KINDS) and `count` (how much it
counts). `valid.jsonl` is fold 0, as it was sent. With --split the mails of that split's test part are left out of both.
"""

from __future__ import annotations

import json
import random
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import click

from engine.email_text.normalise import VERSION, for_model
from training.errors import TrainingError
from training.spam.accent import vary
from training.spam.corpora import CORPORA
from training.spam.english import SOURCE, english
from training.spam.fitting import FOLDS
from training.spam.rewrites import REWRITES, Rewrite
from training.spam.splits import NAMES, Corpora, Example, example, sample
from training.spam.written import PAIRS, by_hand
from training.spam.written import SOURCE as WRITTEN

LABELS = {True: "spam", False: "not spam"}
KINDS = {  # and how much each counts
    "plain": 1.0,
    "accent": 1.0,
    "passage": 0.5,
    "padded": 1.0,
    "disguised": 0.3,
    "ordinary": 0.9,  # English that is no mail
    "written": 4.0,  # by hand: see written.py
    "pair": 12.0,  # by hand, spam beside the honest mail that is most like it
}
PASSAGE = (40, 100)  # words
PADDING = "good words"
DISGUISES = sorted(set(REWRITES) - {PADDING})


def fold_of(mail: Example) -> int:
    """The fold of `mail`, a pure function of its text."""
    return zlib.crc32(mail.body.encode("utf-8", "replace")) % FOLDS


def rows(examples: Sequence[Example], accents: int, disguised: float, seed: int) -> Iterator[dict[str, Any]]:
    """The rows of `examples`: each as it is, `accents` variations, a passage, and of spam a share `disguised` that is
    rewritten twice: with honest text of the same fold around it, and in one of the other ways. No text comes twice."""
    ham = {fold: [e.body for e in examples if not e.spam and fold_of(e) == fold] for fold in range(FOLDS)}
    seen: set[str] = set()
    for mail in examples:
        fold, mark = fold_of(mail), seed + zlib.crc32(mail.body.encode("utf-8", "replace"))
        rng = random.Random(mark)  # a mail's rows do not depend on what other mails there are, but for its padding
        made = [(_normalised(mail.body, mail.subject), "plain")]
        for accent in range(1, accents + 1):
            made.append((_normalised(*vary(mail.body, mail.subject, mark + accent)), "accent"))
        invented = mail.source in (WRITTEN, PAIRS)
        if invented:
            made = [(text, "pair" if mail.source == PAIRS else "written") for text, _ in made]
        elif accents:
            made.append((passage(made[0][0], rng), "passage"))
        if mail.spam and not invented and rng.random() < disguised:
            for kind, name in (("padded", PADDING), ("disguised", rng.choice(DISGUISES))):
                made.append((_rewritten(mail, REWRITES[name], rng, ham[fold] or ["See you tomorrow."]).text, kind))
        for text, kind in made:
            kind = "ordinary" if mail.source == SOURCE else kind
            if text.strip() and text not in seen:
                seen.add(text)
                yield _row(mail, text, kind, fold)


@lru_cache(maxsize=100_000)  # the splits of the table share most of their mail
def _normalised(body: str, subject: str) -> str:
    return for_model(body, subject)


def _row(mail: Example, text: str, kind: str, fold: int) -> dict[str, Any]:
    return {
        "text": text,
        "label": LABELS[mail.spam],
        "source": WRITTEN if mail.source == PAIRS else mail.source,
        "fold": fold,
        "kind": kind,
        "count": KINDS[kind],
    }


def _rewritten(mail: Example, rewrite: Rewrite, rng: random.Random, ham: Sequence[str]) -> Example:
    body, subject, html = rewrite(mail.body, mail.subject, rng, ham)
    return Example(body, True, mail.source, html, subject, body)


def passage(text: str, rng: random.Random) -> str:
    """Some neighbouring words of `text`; "" when it has no more than that."""
    words = [match.span() for match in re.finditer(r"\S+", text)]
    length = rng.choice(PASSAGE)
    if len(words) <= length:
        return ""
    start = rng.randint(0, len(words) - length)
    return text[words[start][0] : words[start + length - 1][1]]


def prepare(
    data: Path,
    out: Path,
    *,
    split: str | None,
    accents: int,
    disguised: float,
    most: int,
    seed: int,
    plain: Path | None = None,
    more: Sequence[Path] = (),
) -> dict[str, Any]:
    """Write the files into `out` and return the report that stands beside them as report.json.

    Args:
        plain: where ordinary English lies; mail written by hand joins it, and that of the files `more`.
    """
    corpora = Corpora(data)
    if split is None:
        examples = [e for source in CORPORA for e in sample(corpora.mails(source), most)]
    else:
        examples = corpora.split(split).train
    if plain is not None:
        examples += [example(mail) for mail in (*english(plain), *by_hand(more))]
    return write_files(examples, out, split=split, accents=accents, disguised=disguised, seed=seed)


def write_files(
    examples: Sequence[Example], out: Path, *, split: str | None, accents: int, disguised: float, seed: int
) -> dict[str, Any]:
    """The same for `examples` that are there already; `split` is for the report."""
    out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"normaliser_version": VERSION, "split": split, "seed": seed, "accents": accents}
    for name, wanted in (("train", False), ("valid", True)):
        part = [e for e in examples if (fold_of(e) == 0) == wanted]
        if wanted:  # held-out mail is measured as it is
            made = list(rows(part, 0, 0.0, seed))
        else:
            made = list(rows(part, accents, disguised, seed))
            random.Random(seed).shuffle(made)
        with (out / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in made)
        report[name] = {"/".join(key): n for key, n in sorted(Counter((r["source"], r["label"]) for r in made).items())}
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


FOLDER = click.Path(path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", type=FOLDER, required=True, help="The folder of the spam corpora.")
@click.option(
    "--english",
    "plain",
    type=FOLDER,
    help="raw/ and chat/: ordinary English; mail written by hand joins it.",
)
@click.option(
    "--more", type=FOLDER, multiple=True, help="A file or folder of more mail by hand, beside that which is learned."
)
@click.option("--out", type=FOLDER, required=True, help="Where train.jsonl and valid.jsonl go.")
@click.option("--split", type=click.Choice(NAMES), help="Leave this split's test part out.")
@click.option("--accents", default=1, show_default=True, help="Variations of each mail besides itself.")
@click.option("--disguised", default=1.0, show_default=True, help="Share of the spam that is rewritten as spammers do.")
@click.option("--most", default=8000, show_default=True, help="Mails of one source at most.")
@click.option("--seed", default=1, show_default=True)
def main(
    data: Path,
    plain: Path | None,
    more: tuple[Path, ...],
    out: Path,
    split: str | None,
    accents: int,
    disguised: float,
    most: int,
    seed: int,
) -> None:
    """Write the training files of the spam scorer."""
    try:
        report = prepare(
            data, out, split=split, accents=accents, disguised=disguised, most=most, seed=seed, plain=plain, more=more
        )
    except TrainingError as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
