"""RoPE: a head's numbers turned in pairs, which are neighbours since `fused_attention.py` reordered projections."""

from __future__ import annotations

from engine.run.compiled.code.memory import number_at, put_number
from engine.run.compiled.code.team import compiled


@compiled
def turn_head(x, rope, head_dim):
    """RoPE over one head, in which the pairs that are turned are neighbours."""
    for i in range(0, 4 * head_dim, 8):
        a, b = number_at(x + i), number_at(x + i + 4)
        cosine, sine = number_at(rope + i), number_at(rope + i + 4)
        put_number(x + i, a * cosine - b * sine)
        put_number(x + i + 4, a * sine + b * cosine)
