"""MB/s of raw text on one core for each step of preparing; then all of `prepare`, and tokenising, on one and all cores.

The text is made here out of the shipped sample, so that anybody gets the same: sentences of its stories and dialogues
in another order in every document, some documents in HTML, some wrongly decoded, some of them copies.
"""

from __future__ import annotations

import bz2
import contextlib
import io
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.timing import Measured, rounds
from training.data import prepare, shards
from training.data.cleaning import clean_text, is_markup, mend, text_of_markup
from training.data.documents import cut, read_source
from training.data.duplicates import fingerprint, first_alike, signatures
from training.data.filters import poor, probability
from training.data.parallel import cores
from training.data.tokenizer import train_tokenizer
from training.recipe import DataRecipe, QualityRecipe, Recipe, Source, TokenizerRecipe

SAMPLE = Path(__file__).parents[2] / "training" / "sample" / "stories.txt"
SIZE = 48_000_000  # characters: enough for several processes to be worth their start
ROUNDS = 2
TIMES = 4  # that the corpus is tokenised: with less, the start of processes would be measured


def corpus(size: int) -> list[str]:
    """Documents of two to forty sentences, `size` characters in all."""
    numbers = random.Random(0)
    parts = SAMPLE.read_text(encoding="utf-8").replace("<|endoftext|>", "").split(". ")
    sentences = [" ".join(part.split()) for part in parts]
    documents: list[str] = []
    while size > 0:
        paragraphs = [". ".join(numbers.choices(sentences, k=numbers.randint(2, 8))) + "." for _ in range(5)]
        text = "\n\n".join(paragraphs[: numbers.randint(1, 5)])
        chance = numbers.random()
        if chance < 0.02:
            text = "<html><body><p>" + text.replace("\n\n", "</p>\n<p>") + "</p></body></html>"
        elif chance < 0.05:
            text = text.replace("'", "â€™") + " The cafÃ© was full."
        elif chance < 0.08 and documents:
            text = numbers.choice(documents[-1000:]).replace("the", "a", 1)
        documents.append(text)
        size -= len(text)
    return documents


def steps(texts: list[str], root: Path) -> dict[str, Callable[[], float]]:
    """Step → what measures it: MB/s of the text it is given."""
    size = sum(len(text.encode()) for text in texts) / 1e6
    marked = ["<html><body><p>" + text + "</p></body></html>" for text in texts[: len(texts) // 8]]
    quality, similar = QualityRecipe(), signatures(texts)
    among = similar.any(axis=1).nonzero()[0]

    def timed(work: Callable[[], object], megabytes: float = size) -> Callable[[], float]:
        def run() -> float:
            began = time.perf_counter()
            work()
            return megabytes / (time.perf_counter() - began)

        return run

    def read(name: str) -> list[dict]:
        return list(read_source(Source("a", name, "x"), root))

    return {
        "read .txt": timed(lambda: read("a.txt")),
        "read .txt.bz2": timed(lambda: read("a.txt.bz2")),
        "mend mojibake": timed(lambda: [mend(text) for text in texts]),
        "tell markup from text": timed(lambda: [is_markup(text) for text in texts]),
        "text of markup (HTML only)": timed(lambda: [text_of_markup(html) for html in marked], size / 8),
        "clean": timed(lambda: [clean_text(text) for text in texts]),
        "language (when asked for)": timed(lambda: [probability(text, "en") for text in texts]),
        "quality rules": timed(lambda: [poor(text, quality) for text in texts]),
        "fingerprints": timed(lambda: [fingerprint({"text": text}) for text in texts]),
        "signatures": timed(lambda: signatures(texts)),
        "compare signatures": timed(lambda: first_alike(similar, 0.8, among)),
        "cut and write": timed(lambda: [json.dumps(p) for text in texts for p in cut({"text": text}, 20_000)]),
    }


def whole(root: Path, folder: Path, processes: int, language: str = "") -> Callable[[], float]:
    """`prepare` from file to documents: MB/s."""
    recipe = DataRecipe((Source("a", "a.txt", "x"),), language=language)
    size = (root / "a.txt").stat().st_size / 1e6

    def run() -> float:
        with tempfile.TemporaryDirectory(dir=folder) as target, quiet():
            began = time.perf_counter()
            prepare.prepare(recipe, root, Path(target), processes)
            return size / (time.perf_counter() - began)

    return run


def tokenising(run_folder: Path, recipe: Recipe, processes: int) -> Callable[[], float]:
    """From documents to shards: MB/s of the documents' file."""
    size = sum(prepare.documents_path(run_folder, split, "a").stat().st_size for split in prepare.SPLITS) / 1e6

    def run() -> float:
        for path in (run_folder / "shards").rglob("*.npy"):
            path.unlink()
        began = time.perf_counter()
        shards.write_shards(recipe, run_folder, processes)
        return size / (time.perf_counter() - began)

    return run


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def show(title: str, results: dict[str, Measured]) -> None:
    print(f"\n{title}")
    for name, measured in results.items():
        print(f"  {name:44s} {measured.show('MB/s')}", flush=True)


def main() -> None:
    texts = corpus(SIZE)
    with tempfile.TemporaryDirectory() as name:
        root, run_folder = Path(name), Path(name) / "run"
        data = "\n<|endoftext|>\n".join(texts).encode()
        (root / "a.txt").write_bytes(data)
        part = texts[: len(texts) // 8]
        small = root / "small"
        small.mkdir()
        joined = "\n<|endoftext|>\n".join(part).encode()
        (small / "a.txt").write_bytes(joined)
        (small / "a.txt.bz2").write_bytes(bz2.compress(joined))
        show("preparing, each step on one core", rounds(steps(part, small), ROUNDS))
        wanted = {f"prepare, {n} core{'s' * (n > 1)}": whole(root, root, n) for n in sorted({1, cores()})}
        wanted["prepare with the language filter, all cores"] = whole(root, root, cores(), "en")
        show("preparing, end to end", rounds(wanted, ROUNDS))
        recipe = Recipe(DataRecipe((Source("a", "a.txt", "x"),)), TokenizerRecipe(vocab_size=4096, characters_mb=5))
        with quiet():
            prepare.prepare(replace(recipe.data, near_duplicates=0.0), root, run_folder)
        train_tokenizer(recipe, run_folder)
        for path in (run_folder / "documents").rglob("*.jsonl"):
            path.write_bytes(path.read_bytes() * TIMES)
        cases = {f"tokenise, {n} core{'s' * (n > 1)}": tokenising(run_folder, recipe, n) for n in sorted({1, cores()})}
        show(f"tokenising, vocabulary of {recipe.tokenizer.vocab_size:,}", rounds(cases, ROUNDS))
