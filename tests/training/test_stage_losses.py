"""What the stages compute, against worked examples, the field's own formulas and statistics."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from engine.decoder.config import GPTConfig
from engine.decoder.model import GPT, init_weights
from engine.decoder.view import packed
from engine.text.chat_template import ChatTemplate
from engine.text.tokenizer import Tokenizer
from training.data.batches import IGNORE, Conversations, MicroBatch
from training.data.packing import PackedConversations, fit
from training.data.preferences import encode_reply
from training.data.sentences import SentencePairs, learn_vocabulary
from training.data.shards import Shard
from training.loop.losses import token_loss
from training.recipe import DPORecipe, MLMRecipe, SFTRecipe, Source, TranslateRecipe
from training.stages.dpo import DPO, PairBatch, dpo_loss, log_probabilities
from training.stages.mlm import MaskedBatch, make_room, mask_tokens, predict
from training.stages.translate import Translate, scores, spread

TINY = GPTConfig(vocab_size=259, context_length=128, n_layer=2, n_head=2, n_kv_head=1, head_dim=16, d_model=32, d_ff=64)


def make() -> GPT:
    model = GPT(TINY)
    init_weights(model, torch.Generator().manual_seed(0))
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data *= 8
    return model


def byte_tokenizer() -> Tokenizer:
    special = {"<|endoftext|>": 256, "<|im_start|>": 257, "<|im_end|>": 258}
    return Tokenizer({bytes([byte]): byte for byte in range(256)}, special, r"[\s\S]+")


def test_dpo_by_hand() -> None:
    """Chosen 2 nats better than the reference, rejected 1 worse: margin β·3, loss -log σ(β·3)."""
    policy, reference = torch.tensor([[-8.0, -11.0]]), torch.tensor([[-10.0, -10.0]])
    loss, margins = dpo_loss(policy, reference, beta=0.5)
    assert margins.item() == pytest.approx(1.5)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1.5)))
    even, nothing = dpo_loss(reference, reference, beta=0.5)
    assert (even.item(), nothing.item()) == (pytest.approx(math.log(2)), 0.0)
    smoothed, _ = dpo_loss(policy, reference, beta=0.5, smoothing=0.1)
    assert smoothed.item() == pytest.approx(0.9 * math.log(1 + math.exp(-1.5)) + 0.1 * math.log(1 + math.exp(1.5)))


def test_the_better_replys_own_loss_is_added_by_its_weight() -> None:
    model = GPT(TINY)
    init_weights(model, torch.Generator().manual_seed(3))
    inputs = torch.randint(0, 250, (2, 2, 6), generator=torch.Generator().manual_seed(4))
    targets = torch.full_like(inputs, IGNORE)
    targets[0, :, 2:] = inputs[0, :, 2:]
    targets[1, :, 5:] = inputs[1, :, 5:]
    batch = PairBatch(inputs, targets, torch.zeros(2, 2))
    plain, weighted = (dpo_of(nll).loss(model, batch).loss for nll in (0.0, 2.0))
    logits = model.logits(model.hidden(inputs[:, 0])).log_softmax(-1)
    own = [-logits[row, place, inputs[row, 0, place]] for row, place in ((0, 2), (0, 3), (0, 4), (0, 5), (1, 5))]
    expected = 2.0 * (sum(own[:4]) / 4 + own[4])  # type: ignore[operator]
    torch.testing.assert_close(weighted - plain, expected)


def dpo_of(nll: float) -> DPO:
    """As much of the stage as its loss needs."""
    made = DPO.__new__(DPO)
    made.recipe = DPORecipe(nll=nll)
    return made


def test_the_gradient_of_dpo_is_the_papers() -> None:
    """∇ = -β·σ(-margin)·(∇log π(chosen) - ∇log π(rejected)), below equation 7."""
    policy = torch.tensor([[-8.0, -11.0], [-7.0, -3.0]], requires_grad=True)
    reference = torch.tensor([[-10.0, -10.0], [-6.0, -5.0]])
    loss, margins = dpo_loss(policy, reference, beta=0.3)
    loss.sum().backward()
    weight = 0.3 * torch.sigmoid(-margins.detach())
    torch.testing.assert_close(policy.grad, torch.stack((-weight, weight), dim=1))


def test_log_probabilities_are_of_the_reply_alone() -> None:
    model, template = make(), ChatTemplate(byte_tokenizer())
    chat = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "said before"},
        {"role": "user", "content": "and?"},
    ]
    replies = [encode_reply(template, chat, text) for text in ("yes", "no, never")]
    width = max(len(reply.tokens) for reply in replies) - 1
    inputs, targets = torch.zeros(1, 2, width, dtype=torch.int64), torch.full((1, 2, width), IGNORE)
    for row, reply in enumerate(replies):
        tokens, mask = torch.tensor(reply.tokens), torch.tensor(reply.mask)
        inputs[0, row, : len(tokens) - 1] = tokens[:-1]
        targets[0, row, : len(tokens) - 1] = torch.where(mask[1:] > 0, tokens[1:], IGNORE)
    with torch.no_grad():
        found = log_probabilities(model, inputs, targets)[0]
        for row, text in enumerate(("yes", "no, never")):
            prompt = template.encode(chat, answer=True)
            reply = [*text.encode(), 258]  # bytes, and the end of the turn; the newline behind it is the template's
            logits = model(torch.tensor([[*prompt, *reply]]))[0].log_softmax(-1)
            expected = sum(logits[len(prompt) + i - 1, token] for i, token in enumerate(reply))
            assert found[row].item() == pytest.approx(float(expected), rel=1e-4)


def test_masking_is_berts() -> None:
    """15 % chosen; of these 80 % masked, 10 % random, 10 % as they are: within five standard errors of 400,000."""
    random, recipe = np.random.default_rng(0), MLMRecipe()
    tokens = random.integers(0, 500, (1000, 400))
    kept = tokens < 10
    inputs, targets = mask_tokens(tokens, kept, recipe, mask=500, vocabulary=500, random=random)
    chosen = targets != IGNORE
    assert not (chosen & kept).any(), "special tokens are never chosen"
    assert (targets[chosen] == tokens[chosen]).all()
    assert (inputs[~chosen] == tokens[~chosen]).all()

    def close(share: float, expected: float, count: int) -> bool:
        return abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / count)

    free, picked = int((~kept).sum()), int(chosen.sum())
    assert close(picked / free, 0.15, free)
    masked = (inputs == 500) & chosen
    changed = chosen & ~masked & (inputs != tokens)
    assert close(masked.sum() / picked, 0.8, picked)
    assert close(changed.sum() / picked, 0.1 * 499 / 500, picked)


def test_masked_words_see_what_follows_and_no_other_document() -> None:
    model = make().eval()
    tokens = torch.arange(20)[None]
    documents = torch.tensor([[0] * 12 + [1] * 8])
    logits = model.logits(model.hidden(tokens, view=packed(documents, causal=False)))
    changed = tokens.clone()
    changed[0, 10] = 99
    other = model.logits(model.hidden(changed, view=packed(documents, causal=False)))
    assert not torch.allclose(logits[0, 2], other[0, 2], atol=1e-3), "a later token changes an earlier position"
    torch.testing.assert_close(logits[0, 12:], other[0, 12:])
    causal, seen = model(tokens), model(changed)
    assert torch.equal(causal[0, 2], seen[0, 2]), "which it does not where the mask is causal"
    targets = torch.full((1, 20), IGNORE)
    targets[0, [3, 15]] = torch.tensor([7, 8])
    found, truth = predict(model, MaskedBatch(tokens, targets, documents))
    torch.testing.assert_close(found, logits[0, [3, 15]])
    assert truth.tolist() == [7, 8]


def test_a_vocabulary_without_a_mask_gets_room_for_one() -> None:
    model = make()
    ids = torch.arange(30)[None]
    before = model(ids)
    make_room(model, 259, seed=1)
    after = model(ids)
    assert after.shape[-1] == model.config.vocab_size == 260
    torch.testing.assert_close(after[..., :259], before)
    make_room(model, 259, seed=1)
    assert model.config.vocab_size == 260


def chats(sizes: list[int]) -> Shard:
    random = np.random.default_rng(3)
    total = sum(sizes)
    tokens, mask = random.integers(0, 250, total).astype(np.uint16), (random.random(total) < 0.5).astype(np.uint8)
    return Shard("chats", tokens, mask, np.array([0, *np.cumsum(sizes)]))


def test_packed_conversations_have_the_loss_they_have_alone() -> None:
    model, shard = make().eval(), chats([9, 30, 17, 60, 64, 65, 3, 12, 40, 25, 90])
    source = [Source("chats", "", "", sft_epochs=1)]
    recipe = SFTRecipe(context=64, batch_tokens=64 * 4, micro_tokens=64 * 2)
    rows = PackedConversations([shard], source, recipe, pad=256)
    padded = Conversations([shard], source, SFTRecipe(context=65, batch_tokens=65, micro_tokens=65), pad=256)
    sums = {}
    for name, batches in (("packed", rows), ("padded", padded)):
        parts = [token_loss(model, micro) for step in range(batches.steps) for micro in batches.step(step)]
        sums[name] = (sum(p.loss.item() for p in parts), sum(int(p.counted) for p in parts))
    assert sums["packed"][1] == sums["padded"][1], "the same words count"
    assert sums["packed"][0] == pytest.approx(sums["padded"][0], rel=1e-5)
    assert rows.cut == 1, "one is longer than a row and says so"
    assert rows.count < 11


def test_rows_are_full_and_hold_every_conversation_once() -> None:
    lengths = [5, 3, 8, 2, 2, 7, 1, 6]
    rows = fit(lengths, 8)
    assert sorted(i for row in rows for i in row) == list(range(8))
    assert all(sum(lengths[i] for i in row) <= 8 for row in rows)
    assert len(rows) == 5, "the fewest possible: 34 tokens in rows of 8"


def test_processes_share_rows_so_that_together_they_see_what_one_does() -> None:
    shard, source = chats([20] * 21), [Source("chats", "", "", sft_epochs=1)]
    recipe = SFTRecipe(context=64, batch_tokens=64 * 4, micro_tokens=64 * 2)

    def targets(batches: list[MicroBatch]) -> list[int]:
        return sorted(int(t) for b in batches for t in b.targets.flatten() if t != IGNORE)

    alone = PackedConversations([shard], source, recipe, 256)
    shares = [PackedConversations([shard], source, recipe, 256, rank, 2) for rank in range(2)]
    for step in range(alone.steps):
        parts = [share.step(step) for share in shares]
        assert len(parts[0]) == len(parts[1])
        assert targets([*parts[0], *parts[1]]) == targets(alone.step(step))


PAIRS = [
    (f"{subject} {verb} {thing}.", f"{their} {stem}{ending} {ding}.")
    for subject, their, ending in (("I", "ich", "e"), ("we", "wir", "en"))
    for verb, stem in (("see", "seh"), ("buy", "kauf"))
    for thing, ding in (
        ("a boat", "ein Boot"),
        ("bread", "Brot"),
        ("the sea", "das Meer"),
        ("tea", "Tee"),
        ("us", "uns"),
    )
]


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_twenty_pairs_are_learned_by_heart(norm: str, tmp_path: Path) -> None:
    recipe = TranslateRecipe(
        context=32, batch_tokens=256, micro_tokens=256, d_model=64, n_head=2, n_layer=1, d_ff=128, dropout=0.0,
        epochs=120, norm=norm,
    )  # fmt: skip
    began = time.monotonic()
    task = Translate(recipe, SentencePairs(PAIRS, [], {}), learn_vocabulary(PAIRS, 290, tmp_path), torch.device("cpu"))
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=0.002)
    for step in range(task.steps):
        for batch in task.step(step):
            result = task.loss(task.model, batch)
            (result.loss / result.counted).backward()
        optimizer.step()
        optimizer.zero_grad()
    found = {beam: task.translator(task.model).translate([s for s, _ in PAIRS], beam) for beam in (1, 4)}
    print(f"{time.monotonic() - began:.1f} s, {task.steps} steps")
    assert found[1] == found[4] == [target for _, target in PAIRS]


def test_scores_are_sacrebleus_with_every_reference() -> None:
    pytest.importorskip("sacrebleu")
    references = [["the cat sat on the mat today", "a cat sat on a mat today"], ["good morning to all of you"]]
    perfect = scores(["a cat sat on a mat today", "good morning to all of you"], references)
    assert perfect["bleu"] == perfect["chrf"] == 100
    assert scores(["something else that is wrong", "good evening"], references)["chrf"] < 60


def test_measured_sentences_are_spread_and_different() -> None:
    pairs = [(f"s{i // 2}", f"t{i}") for i in range(40)]
    chosen = spread(pairs, 5)
    assert len({source for source, _ in chosen}) == 5
    assert (chosen[0][0], chosen[-1][0]) == ("s0", "s19")
    assert spread([], 5) == []


def test_smoothed_labels_are_of_the_loss_and_not_of_what_is_reported() -> None:
    recipe = TranslateRecipe(context=32, batch_tokens=512, micro_tokens=512, d_model=32, n_head=2, n_layer=1, d_ff=32)
    task = Translate(recipe, SentencePairs(PAIRS, PAIRS[:3], {}), byte_tokenizer(), torch.device("cpu"))
    batch = task._batch([task.valid[0]])
    task.model.eval()
    with torch.no_grad():
        logits = task.model(batch.source, batch.lengths, batch.inputs)
        log = F.log_softmax(logits[0], -1)
        picked = log[range(len(log)), batch.targets[0]]
        expected = -(0.9 * picked + 0.1 * log.mean(-1)).sum()
        assert task.loss(task.model, batch).loss.item() == pytest.approx(expected.item(), rel=1e-4)
        total = sum(len(target) for _, target in task.valid)
        reported = task.validate(task.model)["loss"]
    assert reported > 0
    assert total == sum(len(target) + 1 for _, target in PAIRS[:3])
