"""The original Transformer: an encoder that reads a sentence and a decoder that writes another (Vaswani et al. 2017).

Owns the layers and one step of decoding with everything kept that can be. Searching for the best translation and the
folder of such a model are `translator.py`. Shapes: B sentences, S source tokens, T target tokens, H heads, D head size,
C model width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.decoder.backward import multiplied_out, multiplies_out


@dataclass(frozen=True)
class TransformerConfig:
    """The shape, in the paper's terms; the defaults are a quarter of its base model."""

    vocab_size: int = 8192  # both languages share one vocabulary and one embedding table
    context_length: int = 256  # longest sentence, in tokens
    d_model: int = 256
    n_head: int = 4
    n_layer: int = 3  # of the encoder, and as many of the decoder
    d_ff: int = 1024
    dropout: float = 0.1  # of each sub-layer's output and of the embeddings, while training
    norm: Literal["post", "pre"] = "post"  # post, as in the paper: LayerNorm(x + sublayer(x)); pre: x + sublayer(LN(x))

    def __post_init__(self) -> None:
        sizes = (self.vocab_size, self.context_length, self.d_model, self.n_head, self.n_layer, self.d_ff)
        checks = (
            (all(isinstance(size, int) and 1 <= size < 2**24 for size in sizes), "sizes"),
            (self.d_model % (2 * self.n_head) == 0, "d_model must be an even multiple of n_head"),
            (0 <= self.dropout < 1, "dropout must be from 0 to below 1"),
            (self.norm in ("post", "pre"), "norm must be post or pre"),
        )
        for ok, what in checks:
            if not ok:
                raise ValueError(f"A model cannot have this shape: {what}")


def sinusoids(length: int, width: int) -> Tensor:
    """Position table [length, width] of section 3.5: sines at even and cosines at odd places."""
    place = torch.arange(length, dtype=torch.float32)[:, None]
    frequency = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
    table = torch.empty(length, width)
    table[:, 0::2], table[:, 1::2] = (place * frequency).sin(), (place * frequency).cos()
    return table


class Attention(nn.Module):
    """Multi-head attention of section 3.2; keys and values come from `keys_and_values`, so that they can be kept."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.n_head = config.n_head
        self.q, self.k, self.v, self.out = (nn.Linear(config.d_model, config.d_model) for _ in range(4))

    def keys_and_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """[B, S, C] → two of [B, H, S, D]."""
        return self._heads(self.k(memory)), self._heads(self.v(memory))

    def forward(self, x: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *, causal: bool = False) -> Tensor:
        """[B, T, C] → [B, T, C]; `mask` is True where a key may be looked at."""
        q = self._heads(self.q(x))
        if (causal or mask is not None) and multiplies_out(q, k):
            y = multiplied_out(q, k, v, mask=mask)
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        return self.out(y.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.n_head, -1)).transpose(1, 2)


class Layer(nn.Module):
    """An encoder's layer, or with `cross` a decoder's: attention to itself, to the source, and a feed-forward."""

    def __init__(self, config: TransformerConfig, *, cross: bool) -> None:
        super().__init__()
        self.pre, self.dropout = config.norm == "pre", nn.Dropout(config.dropout)
        self.attention, self.attention_norm = Attention(config), nn.LayerNorm(config.d_model)
        self.cross = Attention(config) if cross else None
        self.cross_norm = nn.LayerNorm(config.d_model) if cross else None
        self.up, self.down = nn.Linear(config.d_model, config.d_ff), nn.Linear(config.d_ff, config.d_model)
        self.mlp_norm = nn.LayerNorm(config.d_model)

    def encode(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, S, C] → [B, S, C], every token seeing all that `mask` [B, 1, 1, S] shows."""
        before = self.attention_norm(x) if self.pre else x
        x = self._add(x, self.attention(before, *self.attention.keys_and_values(before), mask), self.attention_norm)
        return self._feed(x)

    def decode(self, x: Tensor, kept: LayerState, mask: Tensor) -> Tensor:
        """[B, T, C] → [B, T, C]: T new target tokens behind those in `kept`, over a source shown by `mask`."""
        assert self.cross is not None
        assert self.cross_norm is not None
        before = self.attention_norm(x) if self.pre else x
        k, v = kept.append(*self.attention.keys_and_values(before))
        length, total = x.shape[1], k.shape[2]
        sight = None  # several tokens behind kept ones see those, and each other up to themselves
        if 1 < length < total:
            sight = torch.ones(length, total, dtype=torch.bool, device=x.device).tril(total - length)
        own = self.attention(before, k, v, sight, causal=length == total and length > 1)
        x = self._add(x, own, self.attention_norm)
        before = self.cross_norm(x) if self.pre else x
        x = self._add(x, self.cross(before, *kept.source, mask), self.cross_norm)
        return self._feed(x)

    def _feed(self, x: Tensor) -> Tensor:
        before = self.mlp_norm(x) if self.pre else x
        return self._add(x, self.down(F.relu(self.up(before))), self.mlp_norm)

    def _add(self, x: Tensor, y: Tensor, norm: nn.LayerNorm) -> Tensor:
        return x + self.dropout(y) if self.pre else norm(x + self.dropout(y))


@dataclass
class LayerState:
    """What one decoder layer keeps: the source's keys and values, and the target's so far, [B, H, length, D]."""

    source: tuple[Tensor, Tensor]
    k: Tensor | None = None
    v: Tensor | None = None

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values so far, the new ones included."""
        self.k = k if self.k is None else torch.cat((self.k, k), dim=2)
        self.v = v if self.v is None else torch.cat((self.v, v), dim=2)
        return self.k, self.v


@dataclass
class Decoding:
    """A decoder on its way through a batch."""

    layers: list[LayerState]
    mask: Tensor  # [B, 1, 1, S], True where the source has a token
    length: int = 0  # target tokens so far

    def reorder(self, rows: Tensor) -> None:
        """Go on with `rows` [B'] of the batch, repeated or left out as they say: what a beam does between two steps."""
        self.mask = self.mask[rows]
        for layer in self.layers:
            layer.source = (layer.source[0][rows], layer.source[1][rows])
            if layer.k is not None and layer.v is not None:
                layer.k, layer.v = layer.k[rows], layer.v[rows]


class Transformer(nn.Module):
    """Encoder and decoder; one table is both languages' embedding and, transposed, the output layer (section 3.4)."""

    table: Tensor

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = nn.ModuleList(Layer(config, cross=False) for _ in range(config.n_layer))
        self.decoder = nn.ModuleList(Layer(config, cross=True) for _ in range(config.n_layer))
        pre = config.norm == "pre"  # where nothing norms the last layer's output, something has to
        self.encoder_norm = nn.LayerNorm(config.d_model) if pre else nn.Identity()
        self.decoder_norm = nn.LayerNorm(config.d_model) if pre else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("table", sinusoids(config.context_length, config.d_model), persistent=False)

    def begin(self, source: Tensor, lengths: Tensor) -> Decoding:
        """Read source ids [B, S], padded behind, of which the first `lengths` [B] are real."""
        index = torch.arange(source.shape[1], device=source.device)
        mask = (index[None, :] < lengths[:, None])[:, None, None, :]
        x = self._embed(source, 0)
        for layer in self.encoder:
            x = layer.encode(x, mask)  # type: ignore[operator]
        memory = self.encoder_norm(x)
        states = [LayerState(layer.cross.keys_and_values(memory)) for layer in self.decoder]  # type: ignore[union-attr,operator]
        return Decoding(states, mask)

    def step(self, tokens: Tensor, state: Decoding) -> Tensor:
        """Target ids [B, T] that follow those in `state` → logits [B, T, vocabulary]; `state` grows."""
        x = self._embed(tokens, state.length)
        state.length += tokens.shape[1]
        for layer, kept in zip(self.decoder, state.layers, strict=True):
            x = layer.decode(x, kept, state.mask)  # type: ignore[operator]
        return F.linear(self.decoder_norm(x), self.embedding.weight)

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        """Source [B, S] with real `lengths` [B], and target ids [B, T] → logits [B, T, vocabulary]: teacher forcing."""
        return self.step(target, self.begin(source, lengths))

    def _embed(self, tokens: Tensor, start: int) -> Tensor:
        x = self.embedding(tokens) * math.sqrt(self.config.d_model) + self.table[start : start + tokens.shape[1]]
        return self.dropout(x)


@torch.no_grad()
def init_transformer(model: Transformer, generator: torch.Generator | None = None) -> None:
    """Xavier for the matrices (Glorot & Bengio 2010); the shared table by 1/√C, as it is multiplied by √C."""
    for name, parameter in model.named_parameters():
        if name == "embedding.weight":
            parameter.normal_(0, model.config.d_model**-0.5, generator=generator)
        elif parameter.dim() == 2:
            nn.init.xavier_uniform_(parameter, generator=generator)
        else:
            parameter.fill_(1.0 if name.endswith("norm.weight") else 0.0)
