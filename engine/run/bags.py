"""Embedding bags: sums of a table's rows, each with a weight. What a text's words are added up with is the quickest
multiplication of one row by 16-bit numbers that torch has on a CPU.

Σ wᵢ·table[i] is a row times a matrix. FBGEMM, which torch brings along, makes its machine code for the table's width
once, widens 16 bits as it reads and adds up in fp32. Attention of one token is two such sums: the scores are its query
times the keys, what it takes in is its weights times the values. Over a cache in fp16 that is 2 to 4 times as quick as
`scaled_dot_product_attention` over one in fp32, and half the memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from engine.decoder.kv_cache import FOLD
from engine.run.processor import int8_engine, works

KEPT = torch.float16  # three more bits than bf16; the sums' results are rounded to it as well


def bag_sums(table: Tensor, index: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    """Bags of rows of `table` [rows, width], added up: [bags, width] in its dtype, in which `weights` are, too.

    A bag is the part of `index` [N] and `weights` [N] from one of `starts` [bags] to the next. Both are int32 and lie
    in one piece, or the sums are wrong: nobody looks.
    """
    return torch.ops.aten._embedding_bag_forward_only.default(table, index, starts, False, 0, False, weights)[0]


@lru_cache(maxsize=1)
def has_bags() -> bool:
    """Whether torch has FBGEMM's embedding bags here; without them, bags are the slowest way of all."""
    quick = torch.backends.cpu.get_cpu_capability().startswith(("AVX2", "AVX512")) and int8_engine() == "fbgemm"
    table, numbers = torch.ones(4, 64, dtype=KEPT), torch.arange(4, dtype=torch.int32)
    return quick and works(lambda: bag_sums(table, numbers, numbers[:2], table[:, 0].contiguous()))


@dataclass(frozen=True)
class AttentionBags:
    """Which rows of a layer's folded cache queries look at, for R queries: batch, heads and new tokens, in this order.

    The keys of FOLD positions are a block of D rows, a row for each number of the head; a bag is a block. The values
    are a row for each position; a bag is all of them.
    """

    queries: Tensor  # int32 [R·blocks·D]: the number of a query, of all R·D, that weighs each row of keys
    keys: Tensor  # int32 [R·blocks·D]
    key_starts: Tensor  # int32 [R·blocks]
    values: Tensor  # int32 [R·S]
    value_starts: Tensor  # int32 [R]
    start: int  # of what is looked at among the places in the blocks of keys
    count: int  # S, of what is looked at

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.queries, self.keys, self.key_starts, self.values, self.value_starts


@lru_cache(maxsize=2)  # one for all positions and one for a window: in long contexts they are megabytes
def attention_bags(
    heads: int, group: int, tokens: int, head_dim: int, capacity: int, first: int, total: int
) -> AttentionBags:
    """Bags for `heads` query heads of all texts together, `group` of them a key head, with `tokens` queries each.

    They look at positions `first` to `total` of a cache that has room for `capacity`, which is a multiple of FOLD.
    """
    queries, of_head, keys, key_starts = _key_bags(
        heads, group, tokens, head_dim, capacity, first // FOLD, -(-total // FOLD)
    )
    seen = torch.arange(first, total, dtype=torch.int32)
    values = torch.add(of_head, seen).flatten()
    value_starts = torch.arange(len(of_head), dtype=torch.int32) * len(seen)
    return AttentionBags(queries, keys, key_starts, values, value_starts, first % FOLD, len(seen))


@lru_cache(maxsize=2)
def _key_bags(
    heads: int, group: int, tokens: int, head_dim: int, capacity: int, first: int, last: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`queries`, each query's first row of values [R, 1], `keys` and `key_starts`: the same for FOLD tokens on end."""
    rows = heads * tokens
    of_head = (torch.arange(heads, dtype=torch.int32) // group * capacity).repeat_interleave(tokens)[:, None]
    blocks = torch.arange(first, last, dtype=torch.int32)[:, None] * head_dim
    numbers = torch.arange(head_dim, dtype=torch.int32)
    keys = ((of_head // FOLD * head_dim)[..., None] + blocks + numbers).flatten()
    queries = torch.arange(rows, dtype=torch.int32).repeat_interleave(last - first)[:, None] * head_dim + numbers
    key_starts = torch.arange(rows * (last - first), dtype=torch.int32) * head_dim
    return queries.flatten(), of_head, keys, key_starts


def attend_in_bags(
    q: Tensor, tables: tuple[Tensor, Tensor], bags: AttentionBags, scale: float, hidden: Tensor | None
) -> Tensor:
    """Softmax(q·k·scale + hidden)·v, [R, D] in fp16.

    q: [R, D] in any shape and dtype; tables: what a folded cache's layer returns; hidden: 0 or -∞, [R, S], or None.
    """
    keys, values = tables
    q = q.flatten()
    weights = (q if scale == 1 else q * scale).to(KEPT).index_select(0, bags.queries)
    scores = bag_sums(keys, bags.keys, bags.key_starts, weights).view(len(bags.value_starts), -1)
    scores = scores.narrow(1, bags.start, bags.count)
    if hidden is not None:
        scores = scores + hidden
    return bag_sums(values, bags.values, bags.value_starts, scores.softmax(-1).flatten())
