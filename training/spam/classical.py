"""Makes the classical scorer that ships: `python -m training.spam.classical FOLDER OUT`.

Every mail is learned as it is and once more with another accent (`accent.py`); sources and labels weigh the same. One
mail in five, chosen by its text, is held out for the calibration and the thresholds.
"""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from engine.email_text.normalise import VERSION, for_model
from engine.spam.hashed_scorer import ARCHITECTURE, BITS, HashedScorer
from training.spam.accent import vary
from training.spam.baseline import fit_hashed, sklearn
from training.spam.corpora import CORPORA
from training.spam.measures import Measures, measure, threshold_at
from training.spam.splits import Corpora, Example, sample

MOST_OF_A_SOURCE = 6000
RATES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)  # false alarms that a threshold is stored for


def held_out(example: Example) -> bool:
    return zlib.crc32(example.body.encode("utf-8", "replace")) % 5 == 0


def with_accents(examples: list[Example]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The normaliser's texts of `examples`, each followed by its variation; their labels; how much each counts."""
    texts: list[str] = []
    for number, example in enumerate(examples):
        body, subject = vary(example.body, example.subject, number)
        texts += (example.text, for_model(body, subject))
    spam = np.repeat([e.spam for e in examples], 2)
    groups = [(e.source, e.spam) for e in examples]
    counts = {group: groups.count(group) for group in set(groups)}
    # By the root, so that a small source counts more than its size and less than a large one.
    return texts, spam, np.repeat([float(np.mean(list(counts.values())) / counts[g]) ** 0.5 for g in groups], 2)


def calibrate(scorer: HashedScorer, texts: list[str], spam: np.ndarray) -> np.ndarray:
    """Fit slope and offset (Platt 1999) and the thresholds on held-out texts; returns their probabilities."""
    margins = scorer.margins(texts)
    model = sklearn("linear_model").LogisticRegression(C=1e6).fit(margins[:, None], spam)
    scorer.slope, scorer.offset = float(model.coef_[0][0]), float(model.intercept_[0])
    probabilities = 1 / (1 + np.exp(-(scorer.slope * margins + scorer.offset)))
    thresholds = [[rate, min(threshold_at(probabilities[~spam], rate), 1.0)] for rate in RATES]
    scorer.config |= {"slope": scorer.slope, "offset": scorer.offset, "thresholds": thresholds}
    return probabilities


def make(data: Path, out: Path) -> Measures:
    """Train on the corpora in `data` and write the folder `out`."""
    corpora = Corpora(data)
    examples = [e for source in CORPORA for e in sample(corpora.mails(source), MOST_OF_A_SOURCE)]
    train, held = [e for e in examples if not held_out(e)], [e for e in examples if held_out(e)]
    texts, spam, weights = with_accents(train)
    scorer = fit_hashed(texts, spam, weights)
    texts, spam, _ = with_accents(held)
    measures = measure(calibrate(scorer, texts, spam), spam)
    write(scorer, out, measures, len(train))
    return measures


def write(scorer: HashedScorer, out: Path, measures: Measures, trained_on: int) -> None:
    """The scorer's folder: config.json, model.safetensors (float16), training.json and the card."""
    out.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "format_version": 1,
        "architecture": ARCHITECTURE,
        "task": "spam",
        "labels": ["not spam", "spam"],
        "normaliser_version": VERSION,
        **scorer.config,
    }
    training = {
        "name": out.name,
        "licence": "Apache-2.0",
        "parameters": 2**BITS,
        "data": {source: f"{name}.jsonl" for source, name in CORPORA.items()},
        "mails": trained_on,
        "held_out": {"spam": measures.spam, "ham": measures.ham},
        "metrics": {"accuracy": measures.accuracy, "caught": measures.caught, "calibration": measures.calibration},
    }
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    (out / "training.json").write_text(json.dumps(training, indent=1) + "\n", encoding="utf-8")
    tensors = {"weights": scorer.weights.astype(np.float16), "idf": scorer.idf.astype(np.float16)}
    save_file(tensors, out / "model.safetensors")
    (out / "README.md").write_text(CARD.format(name=out.name, mails=trained_on, m=measures), encoding="utf-8")


CARD = """\
# {name}

A classical spam scorer: hashed words, pairs of words and groups of letters, weighed by logistic regression. It ships
with homespun as the yardstick beside the neural classifier, and judges where that one is not installed.

- Trained on {mails:,} mails and messages (SpamAssassin's public corpus, Enron-Spam, the SMS Spam Collection), each as
  it is and once with another accent: case, spacing, quoting, cutting, with and without a subject.
- On {m.spam:,} spam and {m.ham:,} honest texts that were held out at random from the same corpora: accuracy
  {m.accuracy:.2%}, {m.caught:.1%} of the spam caught at 0.1 % false alarms, calibration error {m.calibration:.3f}.
- These corpora are from 2001 to 2006 and in English. On mail of other years, people and languages it is less sure and
  more often wrong than these numbers say.
- The thresholds for a rate of false alarms were measured on the held-out honest texts.

Licence: Apache-2.0. Made by `python -m training.spam.classical`.
"""

if __name__ == "__main__":
    print(make(Path(sys.argv[1]), Path(sys.argv[2])))
