"""The tables of a recipe as frozen dataclasses, one a stage; a field is a key, its comment what it does. Torch-free.

Reading them from a file is `recipe.py`; `[data]` and `[tokenizer]` are `recipe_data.py`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from training.recipe_data import DataRecipe, TokenizerRecipe


@dataclass(frozen=True)
class ModelRecipe:
    context_length: int = 1024
    n_layer: int = 6
    n_head: int = 6
    n_kv_head: int = 2
    head_dim: int = 64
    d_model: int = 384
    d_ff: int = 1024
    mlp: Literal["swiglu", "gelu", "relu2"] = "swiglu"  # the last two have one matrix less: 1.5 times the d_ff is fair
    qk_norm: bool = True  # with it and swiglu the shape is Qwen3's, which transformers and llama.cpp know


@dataclass(frozen=True)
class BaseRecipe:
    """A model that is there already, to go on from instead of starting a new one."""

    model: str = ""  # a model's name, or the path of its folder or GGUF file; empty: a new model of shape [model]


@dataclass(frozen=True)
class LoRARecipe:
    """Train low-rank additions to frozen matrices (Hu et al. 2021) and nothing else."""

    rank: int = 8
    alpha: float = 16.0  # the additions are multiplied by alpha / rank
    dropout: float = 0.0
    targets: tuple[str, ...] = ("q", "k", "v", "out", "gate", "up", "down")
    layers: tuple[int, ...] = ()  # blocks that get additions, counted from 0; empty: all


@dataclass(frozen=True)
class TrainRecipe:
    """One training stage. `rows` is of packed rows when pretraining; `sft` counts conversations by tokens."""

    context: int = 512  # tokens a row
    batch_tokens: int = 8192  # tokens a step, over all micro-batches
    micro_tokens: int = 4096  # tokens that are in memory at once
    steps: int = 0  # end after so many, the schedule with them; 0: when the data has been read
    ramp_from: int = 0  # pretrain and mlm: tokens of the first step; grows to batch_tokens over ramp_steps; 0: no ramp
    ramp_steps: int = 100
    optimizer: Literal["muon", "adamw"] = "muon"
    lr: float = 0.02  # of the blocks' matrices
    adam_lr: float = 0.004  # of embeddings and norms (of everything with adamw)
    weight_decay: float = 0.01
    warmup_steps: int = 50
    schedule: Literal["wsd", "cosine"] = "wsd"  # after the warmup: stable, then falling; or half a cosine all the way
    decay_fraction: float = 0.5  # wsd: the last part of the way, over which the rate falls
    final_lr: float = 0.0  # where it ends, as a share of the peak
    grad_clip: float = 1.0  # largest norm of a step's gradient; 0: any
    ema: float = 0.0  # keep a running average of the weights that forgets (1 - ema) a step, and deliver that; 0: don't
    precision: Literal["auto", "bf16", "fp32"] = "auto"  # of the products; auto: bf16 where the device has it
    recompute: bool = False  # activations anew in the backward pass: a third more work, much less memory
    spike: float = 10.0  # go back when the loss rises by so many times its usual spread; 0: only when it is no number
    shard: Literal["none", "full"] = "none"  # several processes: whole copies (DDP), or a part each (FSDP)
    valid_every: int = 100  # steps
    valid_tokens: int = 65_536
    sample_every: int = 200  # steps
    checkpoint_minutes: float = 3.0
    compile: Literal["auto", "yes", "no"] = "auto"
    seed: int = 1
    sampling: Literal["packed", "windows"] = "packed"  # windows: every `stride` tokens, as in the book
    stride: int = 0  # tokens between two windows; 0: context, so that none overlap
    attention: Literal["document", "row"] = "document"  # row: a token also sees the documents before its own
    start_from: Literal["auto", "base", "pretrain", "mlm", "sft", "dpo"] = (
        "auto"  # auto: the last finished stage before
    )
    lora: LoRARecipe | None = None


@dataclass(frozen=True)
class SFTRecipe(TrainRecipe):
    """Instruction tuning. Packed: several conversations a row, each seeing only itself; padded: one a row."""

    packing: Literal["packed", "padded"] = "packed"


@dataclass(frozen=True)
class ClassifyRecipe(TrainRecipe):
    """Labels for texts: a table of examples, and what is trained for them."""

    optimizer: Literal["muon", "adamw"] = "adamw"
    adam_lr: float = 0.0002
    files: str = ""  # .jsonl, .csv or .tsv below the data folder; a glob
    text: tuple[str, ...] = ("text",)  # its column, or several, which are joined with an empty line
    label: str = "label"
    valid_files: str = ""  # held-out examples; empty: valid_percent of `files`
    valid_percent: float = 10.0
    labels: tuple[str, ...] = ()  # their order; empty: as the alphabet has it
    epochs: float = 3.0
    pooling: Literal["last", "mean"] = "last"  # what the head reads: the last real token, or the mean of all
    causal: bool = True  # false: every token sees the whole text
    keep: Literal["head", "ends"] = (
        "head"  # of a text beyond context: its beginning, or three quarters of it and its end
    )
    blocks: int = 0  # of what it starts from that are kept, from the first on; 0: all. Fewer are quicker
    train: Literal["all", "last_block", "head"] = "all"  # what is trained besides the head; with [classify.lora]: that
    balance: Literal["none", "weights"] = "none"  # weights: rare labels count more, so that all count the same
    dropout: float = 0.0  # of what the head reads, while training
    word_dropout: float = 0.0  # of the tokens that are exchanged for any others, while training: 0 to twice this a text
    probe: bool = False  # begin with the head that tells the texts best while nothing else has learned
    calibrate: bool = True  # fit a temperature on the held-out examples


@dataclass(frozen=True)
class DPORecipe(TrainRecipe):
    """Preference pairs (Rafailov et al. 2023)."""

    optimizer: Literal["muon", "adamw"] = "adamw"
    adam_lr: float = 0.00002
    files: str = ""  # .jsonl below the data folder, with `prompt`, `chosen` and `rejected`; a glob
    valid_percent: float = 5.0
    epochs: float = 1.0
    beta: float = 0.1  # how dear leaving the reference model is
    label_smoothing: float = 0.0  # how often a pair may be the wrong way round
    nll: float = 0.0  # weight of the better reply's own loss a token, so that it stays likely (Pang et al. 2024)


@dataclass(frozen=True)
class MLMRecipe(TrainRecipe):
    """Masked words, read in both directions (Devlin et al. 2019), over the same documents as pretraining."""

    share: float = 0.15  # of the tokens are to be predicted
    masked: float = 0.8  # of these are hidden behind the mask
    random: float = 0.1  # are replaced by any token; the others stay as they are


@dataclass(frozen=True)
class TranslateRecipe(TrainRecipe):
    """The original encoder-decoder on sentence pairs, with a vocabulary of its own."""

    context: int = 128  # tokens of the longest sentence
    optimizer: Literal["muon", "adamw"] = "adamw"
    adam_lr: float = 0.001
    files: str = ""  # .tsv, .csv or .jsonl below the data folder; a glob
    source: str = "1"  # the columns: names, or places counted from 1
    target: str = "2"
    source_language: str = "en"
    target_language: str = "de"
    limit: int = 0  # read at most so many pairs; 0: all
    valid_percent: float = 2.0
    epochs: float = 10.0
    vocab_size: int = 4000
    d_model: int = 256
    n_head: int = 4
    n_layer: int = 3  # of the encoder, and as many of the decoder
    d_ff: int = 1024
    dropout: float = 0.1
    norm: Literal["post", "pre"] = "post"  # post: as in the paper
    smoothing: float = 0.1  # of the labels
    beam: int = 4  # for the translations that are measured
    measured: int = 200  # held-out sentences that are translated and measured at the end


@dataclass(frozen=True)
class ExportRecipe:
    name: str = "homespun"
    licence: str = "Apache-2.0"
    temperature: float = 0.7
    top_p: float = 0.9
    repetition_penalty: float = 1.1


@dataclass(frozen=True)
class Recipe:
    data: DataRecipe
    tokenizer: TokenizerRecipe = field(default_factory=TokenizerRecipe)
    model: ModelRecipe = field(default_factory=ModelRecipe)
    base: BaseRecipe = field(default_factory=BaseRecipe)
    pretrain: TrainRecipe = field(default_factory=TrainRecipe)
    sft: SFTRecipe = field(default_factory=SFTRecipe)
    classify: ClassifyRecipe = field(default_factory=ClassifyRecipe)
    dpo: DPORecipe = field(default_factory=DPORecipe)
    mlm: MLMRecipe = field(default_factory=MLMRecipe)
    translate: TranslateRecipe = field(default_factory=TranslateRecipe)
    export: ExportRecipe = field(default_factory=ExportRecipe)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


TABLES = {
    "tokenizer": TokenizerRecipe,
    "model": ModelRecipe,
    "base": BaseRecipe,
    "pretrain": TrainRecipe,
    "sft": SFTRecipe,
    "classify": ClassifyRecipe,
    "dpo": DPORecipe,
    "mlm": MLMRecipe,
    "translate": TranslateRecipe,
    "export": ExportRecipe,
}
