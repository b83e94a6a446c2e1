"""The folder of the hashed scorer: config.json, model.safetensors, training.json and the card.

It is fitted by `fitting.py`, and put together with a network by `stacking.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from engine.email_text.normalise import VERSION
from engine.spam import features
from engine.spam.hashed_scorer import ARCHITECTURE, HashedScorer
from training.spam.measures import Measures


def write(
    scorer: HashedScorer, name: str, out: Path, measures: Measures, mails: int, sources: Sequence[str]
) -> None:  # fmt: skip
    """The folder `out` of the scorer called `name`; weights in fp16. `measures` are of `mails` texts that its likes had
    not seen."""
    out.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "format_version": 2,
        "architecture": ARCHITECTURE,
        "task": "spam",
        "labels": ["not spam", "spam"],
        "normaliser_version": VERSION,
        "features_version": features.VERSION,
        **scorer.config,
    }
    training = {
        "name": name,
        "licence": "Apache-2.0",
        "parameters": len(scorer.weights),
        "data": list(sources),
        "mails": mails,
        "held_out": {"spam": measures.spam, "ham": measures.ham},
        "metrics": {"accuracy": measures.accuracy, "caught": measures.caught, "calibration": measures.calibration},
    }
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    (out / "training.json").write_text(json.dumps(training, indent=1) + "\n", encoding="utf-8")
    save_file({"weights": scorer.weights.astype(np.float16), **scorer.known.tensors()}, out / "model.safetensors")
    (out / "README.md").write_text(CARD.format(name=name, mails=mails, m=measures), encoding="utf-8")


CARD = """\
# {name}

A classical spam scorer: hashed words, pairs of words, groups of letters and observations of a text's shape (length,
capitals, links, quoted lines), weighed by logistic regression. A mail counts as a whole, by how far its halves
contradict each other, and as spam that it knows again. It ships with homespun as the yardstick beside the neural
classifier, and judges where that one is not installed.

- Trained on {mails:,} mails and messages (SpamAssassin's public corpus, Enron-Spam, the SMS Spam Collection) and
  ordinary English and mail written by hand, each as it is, with another accent (case, spacing, quoting, cutting, with
  and without a subject) and in part, and the spam disguised as spammers do.
- Each of these judged by a scorer that had not seen it (five folds; {m.spam:,} spam, {m.ham:,} honest): accuracy
  {m.accuracy:.2%}, {m.caught:.1%} of the spam caught at 0.1 % false alarms, calibration error {m.calibration:.3f}.
- These corpora are from 2001 to 2006 and in English. On mail of other years, people and languages it is less sure and
  more often wrong than these numbers say.
- The thresholds for a rate of false alarms were measured on the same honest texts.

Licence: Apache-2.0. Made by `python -m training spam stack`; see the card of homespun-spam.
"""
