"""The card of the spam scorer: what it is, what was measured of it and of others, what it cannot do, how to make it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def card(name: str, config: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The Markdown text.

    Args:
        config: the scorer's config.json.
        facts: `mails`, `texts`, `held_out` and `alone` (measures, see `stacking.py`); perhaps `tables`, what
            `spam-table --out` wrote, one object a scorer, `notes`, sentences, and `memory`; see `remembering.py`.
    """
    stack, held = config["stack"], facts["held_out"]
    rows = [("both together", held), *((f"the {part} one alone", m) for part, m in facts["alone"].items())]
    members = [f"| {who} | {m['accuracy']:.2%} | {m['caught']:.1%} | {m['calibration']:.4f} |" for who, m in rows]
    return TEXT.format(
        name=name,
        mails=facts["mails"],
        texts=facts["texts"],
        neural=stack["neural"],
        classical=stack["classical"],
        held=held,
        members="\n".join(members),
        tables="\n\n".join(_table(table) for table in facts.get("tables", ())) or "Not measured yet.",
        notes="\n".join(f"- {note}" for note in facts.get("notes", ())),
        memory=MEMORY.format(**facts["memory"]) if "memory" in facts else "",
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


MEMORY = """\
## What it remembers

When it learns from corrections, {replayed:,} old mails are played back, so that what is said of them stays as it is,
and old and new scorer are compared on {benchmark:,} others, {spam:,} of them spam: as many of each corpus, with its
share of spam. They lie in `memory.npz`: no words, but of each mail the hashed columns, the network's row and how it was
judged; of the letter groups' columns one in four, which stands for four. How they were judged was said by scorers that
had not seen them ({accuracy:.1%} right), because the one that ships has seen all the mail there is; what is learned
later is added to that.

"""

TEXT = """\
# {name}

Says how likely an e-mail or a text message is to be spam. Two scorers whose log-odds are added: hashed words, pairs of
words, groups of letters, subjects and observations of a text's shape with logistic regression (weight
{classical:.2f}), and the three lowest blocks of homespun's bundled language model, which were trained on to tell spam,
every token seeing all that is read of the text (weight {neural:.2f}). The first looks at a mail as a whole, at how far
its halves contradict each other and at whether it is spam that was learned and comes back with small changes, so that
honest text around spam hides less; of subjects (medicine, loans, parcels, meetings and others) it knows the words by a
list that was written by hand. It ships by itself, too, as `homespun-spam-classical`: the field's yardstick.

## Numbers

Trained on {mails:,} mails of SpamAssassin's public corpus, Enron-Spam and the SMS Spam Collection, on 3,000 pieces of
ordinary English (blogs and conversations) and 600 headlines with a link, made of the same, as honest text, and on mails
and messages that were written by hand for this: 4,479 kinds, spam and honest ones, of 1996 to 2026 and of many trades,
up to 8 variants of each (block by block, by the language models that help to build homespun: none is a real mail).
2,291 of these kinds stand in pairs, spam beside the honest mail that is most like it (services' receipts, alerts and
bookings, newsletters and offers that were signed up for, and who pretends to be any of them), and count threefold. In
{texts:,} texts: each as it is, with another accent (case, spacing, quoting, cutting, with and without a subject), in
part, and the spam disguised as spammers do. What is calibrated takes three mails in five for honest, whatever the share
was in training. How sure the scorer is comes from that fifth, and from what is said of each corpus by strangers to it:
a hashed scorer without it, and a network that learned no corpus, only mail by hand. *Caught* is the share of spam above
the threshold that at most 0.1 % of the honest mail reaches (0.1 % false alarms); *ECE* is the calibration error over 15
bins.

{held[spam]:,} spam and {held[ham]:,} honest texts that neither part had seen (a fifth of all, which the network never
learns; the hashed scorer was fitted without them for this):

| scorer | accuracy | caught | ECE |
|---|---|---|---|
{members}

On the splits of `python -m training spam-table`. On each a scorer is trained on that split's own training part:

{tables}

{notes}

{memory}## What it cannot do

The corpora's mail is from 2001 to 2006, and nearly all is in English; 128 kinds by hand are in eleven other languages.
On mail of other years, people and languages it is less sure and more often wrong than these numbers say; what it is
wrong about can be corrected and learned from. The network reads the first 64 tokens of a mail, the other scorer up to
8,000 characters. Both judge the text; whose a mail is, and what it carries, is told beside the verdict as findings, a
few of which add to its log-odds (engine/email_text/sender.py). All numbers above are of texts alone.

## Made by

```
python -m training spam prepare --data DATA/spam --english DATA --out spam-data
python -m training spam stack --data spam-data --out {name}
cp -r {name}/classical {name}-classical
python -m training spam-table --data DATA/spam --english DATA --scorer stacked --out stacked.json
python -m training spam-table --data DATA/spam --scorer characters --out characters.json
python -m training spam card --scorer {name} --figures figures.json
python -m training spam memory --data spam-data --scorer {name}
```

`card` puts the tables of the two before it, and notes, into this card.

## Data and licences

| source | licence |
|---|---|
| SpamAssassin public corpus (2002) | as its senders published it; for testing and training filters |
| Enron-Spam (Metsis et al. 2006) | public record and its authors' collection |
| SMS Spam Collection (Almeida et al. 2011) | CC BY 4.0 |
| US government blogs (digital.gov, 18F) | public domain |
| self-dialogue corpus (Fainberg et al. 2018) | BSD-3-Clause |
| BYU chitchat dataset | MIT |
| mails written by hand (`training/spam/written/`) | Apache-2.0, as homespun |

Licence: Apache-2.0, of the weights.
"""
