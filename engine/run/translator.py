"""Translator: sentences in one language → sentences in another, greedily or by beam search.

Owns the search and the folder of such a model (its config.json says task "translate"). The layers are
`encoder_decoder.py`, training them is the lab's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from engine.catalog import read_json
from engine.decoder.encoder_decoder import Decoding, Transformer, TransformerConfig
from engine.errors import ModelFolderError
from engine.files.stored import read_weights
from engine.files.writing import write_folder
from engine.run.rows import by_length, pad
from engine.text.chat_template import END_OF_TURN
from engine.text.tokenizer import Tokenizer
from engine.text.tokenizer_files import load_tokenizer

BEGIN, END = "<|im_start|>", END_OF_TURN  # before and behind every target sentence; the source has the end as well
LENGTH_PENALTY = 0.6  # the paper's, and Wu et al.'s (2016) formula
EXTRA = 50  # a translation is at most so many tokens longer than its source, as in the paper
BATCH_TOKENS = 4096  # source tokens in memory at once, times the beam


class Translator:
    """A translation model ready for sentences."""

    def __init__(self, model: Transformer, tokenizer: Tokenizer, source: str, target: str) -> None:
        self.model, self.tokenizer, self.source, self.target = model.eval(), tokenizer, source, target
        self.begin, self.end = tokenizer.special(BEGIN), tokenizer.special(END)

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu") -> Translator:
        """The translator in `folder`, in fp32.

        Raises:
            ModelFolderError: it holds something else, or is damaged.
        """
        data = read_json(folder / "config.json")
        if data.get("task") != "translate":
            raise ModelFolderError(f"{folder} holds no translator: its config.json does not say so.")
        try:
            config, names = TransformerConfig(**data["shape"]), (str(data["source"]), str(data["target"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFolderError(f"{folder / 'config.json'} does not describe a translator ({error}).") from error
        tokenizer = load_tokenizer(folder)
        if absent := [name for name in (BEGIN, END) if name not in tokenizer.special_tokens]:
            raise ModelFolderError(f"The tokenizer in {folder} lacks {absent[0]}.")
        model = Transformer(config)
        try:
            model.load_state_dict({name: stored.read() for name, stored in read_weights(folder).items()})
        except RuntimeError as error:
            raise ModelFolderError(f"The weights in {folder} do not fit its config.json.") from error
        return cls(model.to(device).requires_grad_(False), tokenizer, *names)

    def encode(self, sentence: str) -> list[int]:
        """Ids of a source sentence, its end included, cut to what the model was made for."""
        longest = self.model.config.context_length
        return [*self.tokenizer.encode(sentence)[: longest - 1], self.end]

    @torch.inference_mode()
    def translate(self, sentences: Sequence[str], beam: int = 4, length_penalty: float = LENGTH_PENALTY) -> list[str]:
        """The translations of `sentences`, in their order; `beam` 1 is greedy decoding."""
        device = self.model.embedding.weight.device
        encoded = [self.encode(sentence) for sentence in sentences]
        result = [""] * len(sentences)
        for rows in by_length([len(tokens) for tokens in encoded], max(BATCH_TOKENS // beam, 1)):
            source, lengths = pad([encoded[row] for row in rows])
            longest = min(int(lengths.max()) + EXTRA, self.model.config.context_length - 1)
            state = self.model.begin(source.to(device), lengths.to(device))
            if beam == 1:
                found = greedy(self.model, state, self.begin, self.end, longest)
            else:
                found = beam_search(
                    self.model, state, self.begin, self.end, longest, beam=beam, length_penalty=length_penalty
                )
            for row, said in zip(rows, found, strict=True):
                result[row] = self.tokenizer.decode(said).strip()
        return result


def greedy(model: Transformer, state: Decoding, begin: int, end: int, longest: int) -> list[list[int]]:
    """The likeliest next token, again and again, until `end` or for `longest` tokens; `end` is left out."""
    count, device = len(state.mask), state.mask.device
    said: list[list[int]] = [[] for _ in range(count)]
    open_rows = list(range(count))  # sentences that have not ended, in the order of the state's rows
    last = torch.full((count, 1), begin, device=device)
    while open_rows and state.length < longest:
        chosen = model.step(last, state)[:, -1].argmax(-1)
        going = [i for i, token in enumerate(chosen.tolist()) if token != end]
        for i in going:
            said[open_rows[i]].append(int(chosen[i]))
        if len(going) < len(open_rows):
            open_rows = [open_rows[i] for i in going]
            keep = torch.tensor(going, dtype=torch.int64, device=device)
            state.reorder(keep)
            chosen = chosen[keep]
        last = chosen[:, None]
    return said


def beam_search(
    model: Transformer,
    state: Decoding,
    begin: int,
    end: int,
    longest: int,
    *,
    beam: int,
    length_penalty: float = LENGTH_PENALTY,
) -> list[list[int]]:
    """The best of `beam` beginnings a sentence, by log-probability over ((5 + length) / 6)^penalty (Wu et al. 2016)."""
    count, device = len(state.mask), state.mask.device
    state.reorder(torch.arange(count, device=device).repeat_interleave(beam))
    # All beams begin alike: only the first may be grown from, or they would stay copies of each other.
    scores = torch.full((count, beam), -torch.inf, device=device)
    scores[:, 0] = 0.0
    said = torch.full((count * beam, 1), begin, device=device)
    ended: list[list[tuple[float, list[int]]]] = [[] for _ in range(count)]
    for length in range(1, longest + 1):
        logits = model.step(said[:, -1:], state)[:, -1].float()
        total = scores[..., None] + logits.log_softmax(-1).view(count, beam, -1)
        width = total.shape[-1]
        best, index = total.flatten(1).topk(2 * beam, dim=1)  # at most one a beam ends, so enough go on
        origin, token = index // width, index % width
        going = []
        for i, ways in enumerate(zip(best.tolist(), origin.tolist(), token.tolist(), strict=True)):
            going.append([rank for rank, to in enumerate(ways[2]) if to != end][:beam])
            for score, from_, to in list(zip(*ways, strict=True))[:beam]:
                if to == end and score > -torch.inf:
                    ended[i].append((score / _penalty(length, length_penalty), said[i * beam + from_, 1:].tolist()))
        chosen = torch.tensor(going, device=device)
        scores, origin, token = (tensor.gather(1, chosen) for tensor in (best, origin, token))
        rows = (torch.arange(count, device=device)[:, None] * beam + origin).flatten()
        state.reorder(rows)
        said = torch.cat((said[rows], token.flatten()[:, None]), dim=1)
        # A sentence is done when even what is left of its beams' chances, at their shortest and best, is too little.
        hope = scores.amax(1) / _penalty(longest if length_penalty > 0 else length, length_penalty)
        if all(done and max(done)[0] >= float(hope[i]) for i, done in enumerate(ended)):
            break
    for i, done in enumerate(ended):
        if not done:  # nothing ended in time: the best beginning is all there is
            done.append((0.0, said[i * beam + int(scores[i].argmax()), 1:].tolist()))
    return [max(done, key=lambda pair: pair[0])[1] for done in ended]


def _penalty(length: int, alpha: float) -> float:
    return ((5 + length) / 6) ** alpha


def save_translator(
    folder: Path, translator: Translator, tokenizer_files: Mapping[str, str], *, training: dict[str, Any], card: str
) -> None:
    """Write the whole folder of a translator; `tokenizer_files` are the texts of its `tokenizer.json` and
    what belongs to it, by file name."""
    config = {
        "format_version": 1,
        "task": "translate",
        "model_type": "transformer",
        "source": translator.source,
        "target": translator.target,
        "shape": asdict(translator.model.config),
    }
    write_folder(
        folder,
        {"config.json": config, "training.json": training},
        {**tokenizer_files, "README.md": card},
        {"model.safetensors": translator.model.state_dict()},
    )
