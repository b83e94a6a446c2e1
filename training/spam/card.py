"""The card of the spam scorer: what it is, what was measured of it and of others, what it cannot do, how to make it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def card(name: str, config: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The Markdown text.

    Args:
        config: the scorer's config.json.
        facts: `mails`, `held_out` and `alone` (measures, see `stacking.py`); perhaps `tables`, what `spam-table --out`
            wrote, one object a scorer, and `notes`, sentences.
    """
    stack, held = config["stack"], facts["held_out"]
    rows = [("both together", held), *((f"the {part} one alone", m) for part, m in facts["alone"].items())]
    members = [f"| {who} | {m['accuracy']:.2%} | {m['caught']:.1%} | {m['calibration']:.4f} |" for who, m in rows]
    return TEXT.format(
        name=name,
        mails=facts["mails"],
        neural=stack["neural"],
        classical=stack["classical"],
        held=held,
        members="\n".join(members),
        tables="\n\n".join(_table(table) for table in facts.get("tables", ())) or "Not measured yet.",
        notes="\n".join(f"- {note}" for note in facts.get("notes", ())),
    )  # fmt: skip


def _table(table: Mapping[str, Any]) -> str:
    """One scorer's rows of `spam-table`."""
    lines = [f"**{table['scorer']}**", "", "| set | accuracy | caught | ECE |", "|---|---|---|---|"]
    lines += [
        f"| {r['split']} | {r['accuracy']:.2%} | {r['caught']:.1%} | {r['calibration']:.4f} |"
        for r in _of(table, "split")
    ]
    rewrites = [f"{r['rewrite']} {r['still']:.1%}" for r in _of(table, "rewrite")]
    if rewrites:
        lines += ["", f"Still caught after rewriting: {', '.join(rewrites)}."]
    return "\n".join(lines)


def _of(table: Mapping[str, Any], key: str) -> Iterable[Mapping[str, Any]]:
    return [row for row in table["rows"] if key in row]


TEXT = """\
# {name}

Says how likely an e-mail or a text message is to be spam. Two scorers whose log-odds are added: a small network, made
from the lower blocks of homespun's bundled language model and fine-tuned (weight {neural:.2f}), and hashed words, pairs
of words and groups of letters with logistic regression (weight {classical:.2f}). The second ships by itself, too, as
`homespun-spam-classical`: the field's yardstick.

## Numbers

Trained on {mails:,} texts: mails of SpamAssassin's public corpus, Enron-Spam and the SMS Spam Collection, each as it is
and with other accents (case, spacing, quoting, cutting, with and without a subject), and a part of the spam disguised
as spammers do. *Caught* is the share of spam above the threshold that at most 0.1 % of the honest mail reaches (0.1 %
false alarms); *ECE* is the calibration error over 15 bins.

On {held[spam]:,} spam and {held[ham]:,} honest mails that were held out at random from the same corpora:

| scorer | accuracy | caught | ECE |
|---|---|---|---|
{members}

On the splits of `python -m training spam-table`. On each a scorer is trained on that split's own training part:

{tables}

{notes}

## What it cannot do

These corpora are from 2001 to 2006 and in English. On mail of other years, people and languages it is less sure and
more often wrong than these numbers say; what it is wrong about can be corrected and learned from. The network reads the
first and last tokens of a long mail, the other scorer up to 8,000 characters. It does not look at sender, headers or
attachments: these are told beside the verdict, as findings.

## Made by

```
python -m training spam prepare --data DATA --out spam-data --accents 1 --most 6000
python -m training classify training/recipes/homespun-spam.toml --data spam-data --run runs/homespun-spam
python -m training spam stack --data spam-data --network runs/homespun-spam/classify/model --out {name}
```

## Data and licences

| source | licence |
|---|---|
| SpamAssassin public corpus (2002) | as its senders published it; for testing and training filters |
| Enron-Spam (Metsis et al. 2006) | public record and its authors' collection |
| SMS Spam Collection (Almeida et al. 2011) | CC BY 4.0 |

Licence: Apache-2.0, of the weights.
"""
