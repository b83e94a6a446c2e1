"""Rows: what stands in them, which document a token is of, and that processes share a batch without gap or overlap."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from engine.decoder.config import GPTConfig
from engine.decoder.model import GPT, init_weights
from engine.decoder.view import packed
from tests.training.test_data import shard
from training.data.batches import IGNORE, Conversations, MicroBatch, PackedRows, SlidingWindows, make_rows
from training.data.shards import Shard
from training.recipe import RecipeError, Source, TrainRecipe

RECIPE = TrainRecipe(context=16, batch_tokens=16 * 12, micro_tokens=16 * 6)
SHARDS = [shard("a", [10, 3, 25, 1] * 20), shard("b", [7] * 40, 100)]
SOURCES = [Source("a", "", "", epochs=2), Source("b", "", "", epochs=1)]


def text_shard(texts: list[list[int]], end: int) -> Shard:
    tokens = np.array([t for text in texts for t in (*text, end)], np.uint16)
    return Shard("t", tokens, np.zeros(len(tokens), np.uint8), np.cumsum([0, *(len(t) + 1 for t in texts)]))


def joined(batches: list[MicroBatch]) -> torch.Tensor:
    return torch.cat([torch.cat((b.inputs, b.targets, b.documents), 1) for b in batches])


@pytest.mark.parametrize("sampling", ["packed", "windows"])
@pytest.mark.parametrize("world", [2, 3, 4])
def test_several_processes_see_together_what_one_would(sampling: str, world: int) -> None:
    recipe = TrainRecipe(context=16, batch_tokens=192, micro_tokens=96, sampling=sampling, stride=8)
    alone = make_rows(SHARDS, SOURCES, recipe)
    ranks = [make_rows(SHARDS, SOURCES, recipe, rank, world) for rank in range(world)]
    assert {r.steps for r in ranks} == {alone.steps}
    for step in range(alone.steps):
        assert len({len(r.step(step)) for r in ranks}) == 1, "every process does as many micro-batches"
        shared = torch.cat([joined(r.step(step)) for r in ranks])
        assert torch.equal(shared, joined(alone.step(step)))


def test_a_ramp_grows_to_the_whole_batch_and_leaves_no_row_out() -> None:
    """12 rows a step in micro-batches of 2, from 2 on, over 5 steps: 2, 4, 6, 8, 10, then 12; shared out as well."""
    recipe = TrainRecipe(context=16, batch_tokens=192, micro_tokens=32, ramp_from=32, ramp_steps=5)
    rows = PackedRows(SHARDS, SOURCES, recipe)
    assert [len(rows.own_rows(step)) for step in range(7)] == [2, 4, 6, 8, 10, 12, 12]
    assert all(rows.own_rows(step).stop == rows.own_rows(step + 1).start for step in range(rows.steps))
    plain = PackedRows(SHARDS, SOURCES, replace(recipe, ramp_from=0))
    together = torch.cat([joined(rows.step(step)) for step in range(rows.steps)])
    assert torch.equal(together[:24], torch.cat([joined(plain.step(0)), joined(plain.step(1))]))
    total = int(rows.ends[-1] - 1) // 16
    assert rows.own_rows(rows.steps - 1).stop <= total < rows.own_rows(rows.steps).stop
    ranks = [PackedRows(SHARDS, SOURCES, recipe, rank, 2) for rank in range(2)]
    for step in range(rows.steps):
        assert torch.equal(torch.cat([joined(r.step(step)) for r in ranks]), joined(rows.step(step)))


def test_a_batch_that_cannot_be_shared_is_a_sentence() -> None:
    with pytest.raises(RecipeError, match="5 processes cannot share a batch of 12 rows evenly"):
        PackedRows(SHARDS, SOURCES, RECIPE, world=5)


def test_a_packed_document_has_the_logits_it_has_alone() -> None:
    """An end token opens the document it stands before, and nothing sees past it."""
    numbers = np.random.default_rng(0)
    end = 63
    texts = [numbers.integers(0, 60, size).tolist() for size in (9, 30, 4, 1, 50, 17, 22)]
    source = [Source("t", "", "", epochs=1)]
    rows = PackedRows([text_shard(texts, end)], source, TrainRecipe(context=64, batch_tokens=128, micro_tokens=128))
    model = GPT(GPTConfig(vocab_size=64, n_layer=2, d_model=32, n_head=2, n_kv_head=1, head_dim=16, d_ff=32))
    init_weights(model, torch.Generator().manual_seed(1))
    model.eval()
    (batch,) = rows.step(0)
    assert batch.documents is not None
    with torch.no_grad():
        logits = model(batch.inputs, view=packed(batch.documents))
        checked = 0
        for row, numbers_of_row in enumerate(batch.documents):
            bounds = [0, *(np.flatnonzero(np.diff(numbers_of_row.numpy())) + 1).tolist(), 64]
            for begin, stop in pairwise(bounds):
                piece = batch.inputs[row, begin:stop]
                assert end not in piece[1:].tolist(), "an end token is the first of its document"
                assert torch.allclose(model(piece[None])[0], logits[row, begin:stop], atol=1e-5)
                checked += 1
    assert checked >= 7
    assert (batch.targets != IGNORE).all(), "no token goes without a loss"


def test_without_document_attention_there_are_no_documents() -> None:
    recipe = TrainRecipe(context=16, batch_tokens=192, micro_tokens=96, attention="row")
    assert all(batch.documents is None for batch in PackedRows(SHARDS, SOURCES, recipe).step(0))


def test_windows_are_the_books() -> None:
    """Chapter 2's example: max_length 4, stride 1; the targets are the inputs moved on by one."""
    tokens = np.array([40, 367, 2885, 1464, 1807, 3619, 402, 271], np.uint16)
    shards = [Shard("verdict", tokens, np.zeros(8, np.uint8), np.array([0, 8]))]
    recipe = TrainRecipe(context=4, batch_tokens=4, micro_tokens=4, sampling="windows", stride=1)
    rows = SlidingWindows(shards, [Source("verdict", "", "")], recipe)
    assert rows.steps == 4, "range(0, 8 - 4, 1)"
    seen = sorted(
        tuple(map(tuple, (b.inputs[0].tolist(), b.targets[0].tolist()))) for s in range(4) for b in rows.step(s)
    )
    assert seen == sorted((tuple(tokens[i : i + 4]), tuple(tokens[i + 1 : i + 5])) for i in range(4))


@pytest.mark.parametrize(("stride", "count"), [(16, 4), (0, 4), (5, 13), (40, 2)])
def test_windows_cover_the_stream_as_often_as_the_stride_says(stride: int, count: int) -> None:
    tokens = np.arange(80, dtype=np.uint16)
    shards = [Shard("a", tokens, np.zeros(80, np.uint8), np.array([0, 30, 80]))]
    recipe = TrainRecipe(context=16, batch_tokens=16, micro_tokens=16, sampling="windows", stride=stride)
    rows = SlidingWindows(shards, [Source("a", "", "")], recipe)
    firsts = {rows.step(s)[0].inputs[0, 0].item() for s in range(rows.steps)}
    assert firsts == {i * (stride or 16) for i in range(count)}
    for step in range(rows.steps):
        batch = rows.step(step)[0]
        assert batch.documents is not None
        borders = batch.inputs[0][1:][np.diff(batch.documents[0].numpy()) == 1].tolist()
        assert set(borders) <= {29, 79}, "the last token of a document is where the next begins"
    assert SlidingWindows([shard("short", [9])], [Source("a", "", "")], recipe).steps == 0


def test_chats_are_shared_out_and_a_process_without_one_counts_nothing() -> None:
    shards, sources = [shard("a", [5, 9, 12, 20, 31] * 12)], [Source("a", "", "", sft_epochs=1)]
    recipe = TrainRecipe(context=32, batch_tokens=128, micro_tokens=64)
    alone = Conversations(shards, sources, recipe, pad=0)
    ranks = [Conversations(shards, sources, recipe, 0, rank, 4) for rank in range(4)]
    idle = 0
    for step in range(alone.steps):
        batches = [r.step(step) for r in ranks]
        assert len({len(b) for b in batches}) == 1
        counted = [int((m.targets != IGNORE).sum()) for b in batches for m in b]
        idle += counted.count(0)
        assert sum(counted) == sum(int((m.targets != IGNORE).sum()) for m in alone.step(step))
        said = [t for b in batches for m in b for t in m.targets[m.targets != IGNORE].tolist()]
        assert sorted(said) == sorted(t for m in alone.step(step) for t in m.targets[m.targets != IGNORE].tolist())
    assert idle > 0, "the case was met"
