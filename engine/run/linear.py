"""Linear layers in every precision: fp32, bf16, int8 and int4, each by the quickest operator that this torch has here.

Owns how weights are rounded, laid out and multiplied. Plain classes and no modules: for one token at a time, a module's
calls and lookups add up. Which precision a model gets is `device.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Precision = Literal["fp32", "bf16", "int8", "int4"]
Linear = Callable[[Tensor], Tensor]

GROUP = 32  # weights that share a scale and a zero point in int4
NARROW = 512  # a side below which a layer is so small that int8 is quicker than int4, and can have bf16 weights as well
FEW = 8  # rows up to which int8 is the quicker of the two, and tokens of guesses read together (speculate.py)
PIECE = 2**18  # weights that are rounded at a time
HALF_MAX = 65504.0  # the largest number in fp16
MANY = 64  # rows from which unpacking int4 weights for them pays
_PAD = 64  # outputs that the int4 kernel wants a multiple of


def make_linear(*weights: Tensor, bias: Tensor | None, dtype: torch.dtype, precision: Precision) -> Linear:
    """A layer y = x·weightᵀ + bias in `dtype`: weight [out, in] in any precision, x [N, in] → y [N, out].

    Of several weights the outputs are one after the other. Layers that int4 would save little memory in are int8.
    """
    bias = bias.to(dtype) if bias is not None else None
    on_cpu, inputs = weights[0].device.type == "cpu", weights[0].shape[1]
    wide = min(inputs, sum(map(len, weights))) >= NARROW
    four = precision == "int4" and wide and has_int4() and inputs % GROUP == 0
    if on_cpu and precision in ("int8", "int4") and has_int8() and not four:
        return Int8Linear(*weights, bias=bias, dtype=dtype)
    weight = torch.cat(weights) if len(weights) > 1 else weights[0]
    if on_cpu:
        if four:
            return Int4Linear(weight, bias, dtype)
        if dtype == torch.bfloat16 and has_packed():
            return PackedLinear(weight.to(dtype), bias)
        if dtype == torch.float32 and precision == "bf16" and has_half() and _row_scale(weight).max() * 127 <= HALF_MAX:
            return HalfLinear(weight, bias)
    return PlainLinear(weight.to(dtype), bias)


class PlainLinear:
    """`F.linear`, which every device and precision has."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight, bias

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class PackedLinear:
    """A linear layer whose bf16 weights lie in the order that oneDNN's kernels read them in.

    Packed once instead of at every call, this is twice as fast as `F.linear` for one token at a time.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.bias = bias
        # Packed for many rows, AMX is no slower with one row, and up to a third quicker with many.
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight, 512 if has_amx() else 1)
        self._multiply = torch.ops.mkldnn._linear_pointwise.default  # choosing the overload at every call costs 4 µs
        self._then, self._kind, self._nothing = "none", "", weight.new_zeros(1, len(weight))

    def __call__(self, x: Tensor) -> Tensor:
        if torch.jit.is_tracing():
            return self._recorded(x)
        return self._multiply(x, self.packed, self.bias, self._then, [], self._kind)

    def _recorded(self, x: Tensor) -> Tensor:
        """The same for `traced.py`, by an overload that takes no list of numbers: TorchScript has no such type."""
        y = torch.ops.mkldnn._linear_pointwise.binary(x, self._nothing, self.packed, self.bias, "add")
        return F.gelu(y, approximate=self._kind) if self._then == "gelu" else y

    def with_gelu(self) -> PackedLinear:
        """The same layer and GELU's tanh approximation behind it, in one step: when reading, torch's own takes as long
        as the multiplication.
        """
        self._then, self._kind = "gelu", "tanh"
        return self


class HalfLinear:
    """A linear layer with fp16 weights and fp32 for all else, for processors that can widen fp16 but multiply no bf16.

    Half the bytes of fp32 to read for every token: 2.7 times as fast, and never slower when many are read at once.
    From 6·10⁻⁵ on, a bf16 weight is the same in fp16; what is smaller loses less than 3·10⁻⁸.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        with _engine("fbgemm"):
            self._packed = torch.ops.quantized.linear_prepack_fp16(
                weight.float(), bias.float() if bias is not None else None
            )
        self._multiply = torch.ops.quantized.linear_dynamic_fp16.default

    def __call__(self, x: Tensor) -> Tensor:
        return self._multiply(x, self._packed)


class Int8Linear:
    """Weights rounded to int8 with one scale for each output, inputs with one for each token; multiplied in integers.

    Half the bytes of bf16 to read for every token, and 1.6 times its speed when many tokens are read at once. torch's
    dynamic kernel rounds its whole input with one scale, and one outlier would cost all other tokens their precision:
    so rows are brought to the same size before it, and back behind it (vector-wise rounding, Dettmers et al. 2022).

    Without VNNI, FBGEMM adds the products of two neighbouring inputs in 16 bits. Rather than taking a bit from the
    inputs, whose outliers need it, weights are rounded so that no two neighbours can add up to more than that holds.

    Where the processor multiplies bf16, small layers read many rows with bf16 weights, and give bf16 whatever `dtype`
    is: twice as fast with AMX. The memory of both is the price, and little, because only small layers pay it.
    """

    def __init__(self, *weights: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
        scale_of = _row_scale if has_vnni() or _int8_engine() != "fbgemm" else _pair_scale
        scales = [scale_of(weight) for weight in weights]
        # Joined when they are small: in fp32 they could take more memory than all that is rounded.
        self._scale, levels = torch.cat(scales), torch.cat([*map(_int8_levels, weights, scales)])
        self._multiply = _by_levels(levels)
        self._bias = bias.float() if bias is not None else None
        self._dtype = dtype
        half = torch.bfloat16
        self._many = None
        if min(levels.shape) < NARROW and has_bf16() and has_packed():
            joined = torch.cat([weight.to(half) for weight in weights])
            self._many = PackedLinear(joined, bias.to(half) if bias is not None else None)

    def __call__(self, x: Tensor) -> Tensor:
        if self._many is not None and x.shape[0] > FEW:
            return self._many(x.to(torch.bfloat16))
        if x.dtype != torch.float32:
            x = x.float()
        if x.shape[0] == 1:  # one token: its own scale is the only one
            y = self._multiply(x)
        else:
            # The infinity norm takes ten times as long as two reductions that torch has vectorised.
            largest = torch.maximum(x.amax(-1, True), x.amin(-1, True).neg_()).clamp_(min=1e-10)
            y = self._multiply(x / largest).mul_(largest)
        y = y.mul_(self._scale) if self._bias is None else torch.addcmul(self._bias, y, self._scale)
        return y if self._dtype == torch.float32 else y.to(self._dtype)


def _by_levels(levels: Tensor) -> Linear:
    """x·levelsᵀ of int8 `levels` [out, in], x being rounded to 8 bits with one scale: fp32 [N, in] → fp32 [N, out].

    torch's newer `quantized.linear_dynamic` does the same with the same FBGEMM, but its weights are an object: checking
    that at every call takes 20 µs, as long as a small layer's multiplication.
    """
    with warnings.catch_warnings(), _engine(_int8_engine()):
        warnings.simplefilter("ignore")  # that both will go one day: the range of torch versions is bounded
        if _int8_engine() == "fbgemm" and hasattr(torch, "fbgemm_linear_int8_weight_fp32_activation"):
            multiply = torch.fbgemm_linear_int8_weight_fp32_activation
            weights = torch.fbgemm_pack_quantized_matrix(levels)
            pieces = levels.split(_rows_at_a_time(levels))
            sums = torch.cat(
                [piece.sum(1, dtype=torch.int32) for piece in pieces]
            )  # all at once would be all in 32 bits
            nothing = torch.zeros(len(levels))
            shape = levels.new_zeros(1).expand(levels.shape)  # all that is looked at besides the packed weights
            return lambda x: multiply(x, shape, weights, sums, 1.0, 0, nothing)
        dynamic = torch.ops.quantized.linear_dynamic.default
        weights = torch.ops.quantized.linear_prepack(torch._make_per_tensor_quantized_tensor(levels, 1.0, 0), None)
        return lambda x: dynamic(x, weights)


def _int8_levels(weight: Tensor, scale: Tensor) -> Tensor:
    """`weight` [out, in] in steps of `scale` [out], int8; a few rows at a time, for a head in fp32 would be large."""
    levels = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)
    rows = _rows_at_a_time(weight)
    for some, steps, into in zip(weight.split(rows), scale.split(rows), levels.split(rows), strict=True):
        into.copy_((some / steps[:, None]).round_())  # divided in fp32
    return levels


def _rows_at_a_time(weight: Tensor) -> int:
    return max(1, PIECE // weight.shape[1])


def _row_scale(weight: Tensor) -> Tensor:
    """What an int8 step is worth in each row of [out, in], fp32."""
    return torch.maximum(weight.amax(dim=1), -weight.amin(dim=1)).float().clamp(min=1e-10) / 127


def _pair_scale(weight: Tensor) -> Tensor:
    """The same where two neighbours together must not pass 128 steps either: with 8-bit inputs, 2·64·255 < 2¹⁵.

    It is about 1.3 times as large for weights that are normally distributed; for 7-bit weights it would be twice.
    """
    even = weight.shape[1] // 2 * 2
    pairs = (weight[:, :even:2] + weight[:, 1:even:2]).abs().amax(dim=1)
    return torch.maximum(_row_scale(weight), pairs.float() / 127)  # both may be rounded up: 128


class Int4Linear:
    """Weights rounded to 16 levels between the smallest and the largest of each 32 neighbours; inputs stay in bf16.

    torch's kernel does the same work for every row, so many rows are read with bf16 weights made for this one time:
    with AMX, six times as quick for 512 rows.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
        self._outputs = len(weight)
        self._bias, self._dtype = bias, dtype
        padded = F.pad(weight.float(), (0, 0, 0, -len(weight) % _PAD))
        levels, scale, zero = round_to_int4(padded)
        self._packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(levels, 1)
        self._scale_and_zero = torch.stack((scale, zero), -1).transpose(0, 1).contiguous().to(torch.bfloat16)
        self._multiply = torch.ops.aten._weight_int4pack_mm_for_cpu.default
        self._unpacks = has_bf16() and int4_is_blocked()

    def __call__(self, x: Tensor) -> Tensor:
        rows = x if x.dtype == torch.bfloat16 else x.to(torch.bfloat16)
        if self._unpacks and len(rows) > MANY:
            y = rows @ unpack_int4(self._packed, self._scale_and_zero)
        else:
            y = self._multiply(rows.contiguous(), self._packed, GROUP, self._scale_and_zero)
        if y.shape[1] != self._outputs:
            y = y.narrow(1, 0, self._outputs)
        if y.dtype != self._dtype:
            y = y.to(self._dtype)
        return y if self._bias is None else y + self._bias


def unpack_int4(packed: Tensor, scale_and_zero: Tensor) -> Tensor:
    """The weights that torch packed for AVX-512, [in, out] in bf16: 64 outputs lie together, 32 of them in low halves.

    packed: uint8 [out, in / 2]; scale_and_zero: bf16 [in / 32, out, 2].
    """
    blocks, inputs = len(packed) // _PAD, 2 * packed.shape[1]
    halves = packed.view(blocks, inputs, _PAD // 2)
    levels = torch.cat((halves & 15, halves >> 4), -1).to(torch.bfloat16).sub_(8).view(blocks, -1, GROUP, _PAD)
    scale, zero = (part.view(-1, blocks, 1, _PAD).transpose(0, 1).contiguous() for part in scale_and_zero.unbind(-1))
    return torch.addcmul(zero, levels, scale).permute(1, 2, 0, 3).reshape(inputs, blocks * _PAD)


@lru_cache(maxsize=1)
def int4_is_blocked() -> bool:
    """Whether torch packs int4 weights here as `unpack_int4` takes it; other processors have other orders."""
    random = torch.Generator().manual_seed(0)
    levels = torch.randint(0, 16, (2 * _PAD, GROUP), generator=random, dtype=torch.int32)
    steps = torch.tensor([1.0, 0.0], dtype=torch.bfloat16).expand(1, 2 * _PAD, 2)
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(levels, 1)
    return torch.equal(unpack_int4(packed, steps), (levels.t() - 8).to(torch.bfloat16))


def round_to_int4(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(levels, scale, zero) of [out, in]: levels int32 0…15 [out, in], the others [out, in/32] as bf16 holds them.

    A weight is (level - 8)·scale + zero. The range of a group is shrunk where cutting off its ends costs less, in
    squared error, than the finer steps inside win.
    """
    groups = weight.view(len(weight), -1, GROUP)
    low, high = groups.amin(-1), groups.amax(-1)
    best_error = torch.full_like(low, torch.inf)
    best_scale, best_zero = torch.zeros_like(low), torch.zeros_like(low)
    for shrink in (1.0, 0.95, 0.9, 0.85, 0.8, 0.75):
        scale = ((high - low) * shrink / 15).clamp(min=1e-8).to(torch.bfloat16).float()
        zero = ((high + low) / 2 + scale / 2).to(torch.bfloat16).float()
        error = (_dequantize(_levels(groups, scale, zero), scale, zero) - groups).square().sum(-1)
        better = error < best_error
        best_error = torch.where(better, error, best_error)
        best_scale, best_zero = torch.where(better, scale, best_scale), torch.where(better, zero, best_zero)
    levels = _levels(groups, best_scale, best_zero)
    return levels.to(torch.int32).view(weight.shape), best_scale, best_zero


def _levels(groups: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    return ((groups - zero[..., None]) / scale[..., None] + 8).round().clamp(0, 15)


def _dequantize(levels: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    return (levels - 8) * scale[..., None] + zero[..., None]


@lru_cache(maxsize=1)
def has_packed() -> bool:
    """Whether this torch packs bf16 weights for oneDNN."""
    return torch.backends.mkldnn.is_available() and _works(
        lambda: PackedLinear(torch.ones(16, 32, dtype=torch.bfloat16), None)(torch.ones(1, 32, dtype=torch.bfloat16))
    )


@lru_cache(maxsize=1)
def has_half() -> bool:
    """Whether this torch multiplies fp32 by fp16 weights on this CPU."""
    weight, x = torch.ones(16, 32), torch.ones(2, 32)
    return "fbgemm" in torch.backends.quantized.supported_engines and _works(lambda: HalfLinear(weight, None)(x))


@lru_cache(maxsize=1)
def has_int8() -> bool:
    """Whether this torch multiplies int8 weights on this CPU."""
    weight, x = torch.ones(16, 32), torch.ones(2, 32)
    return bool(_int8_engine()) and _works(lambda: Int8Linear(weight, bias=None, dtype=x.dtype)(x))


@lru_cache(maxsize=1)
def has_int4() -> bool:
    """Whether this torch multiplies int4 weights on this CPU."""
    weight, x = torch.ones(64, 64), torch.ones(1, 64, dtype=torch.bfloat16)
    return _works(lambda: Int4Linear(weight, None, x.dtype)(x))


def quick_int4() -> bool:
    """Whether int4 is quicker than int8 here: torch's int4 kernel is made for AVX-512, and slower without it."""
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def _int8_engine() -> str:
    """The kernels that this torch has for int8 on this CPU: FBGEMM on x86, QNNPACK on Arm; "" for none."""
    there = torch.backends.quantized.supported_engines
    return next((name for name in ("fbgemm", "qnnpack") if name in there), "")


@contextmanager
def _engine(name: str) -> Iterator[None]:
    """Pack weights for the kernels called `name`."""
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = name
    try:
        yield
    finally:
        torch.backends.quantized.engine = before


def has_bf16() -> bool:
    """Whether this CPU multiplies bf16 by itself; where it is emulated, fp32 is faster."""
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512") and (native or has_amx())


def has_amx() -> bool:
    """Whether this CPU multiplies tiles of bf16."""
    return torch.cpu._is_amx_tile_supported()


def has_vnni() -> bool:
    """Whether 8-bit products are summed in 32 bits; without it two of them may overflow 16."""
    return bool(getattr(torch.cpu, "_is_vnni_supported", lambda: False)())


def _works(attempt: Callable[[], object]) -> bool:
    """Whether an operator is there and takes what it is given; older torches and other CPUs lack some."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some say once that they will go one day
            attempt()
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return True
