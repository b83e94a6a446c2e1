"""From the bytes of a mail to the verdict, by the scorer that ships: broken mails and whatever hypothesis makes."""

from __future__ import annotations

import math
import resource
import time
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.email_text.normalise import for_model, normalise
from engine.run.classifier import TextClassifier
from engine.run.compiled.host import target
from engine.spam.judge import SpamJudge, Verdict
from engine.spam.loading import BUNDLED, load_judge
from engine.spam.stacked_scorer import NEURAL, StackedScorer, log_odds, quickest
from tests.engine.broken_mails import BROKEN


@cache
def text_of(name: str) -> str:
    return normalise(BROKEN[name]).text


@pytest.fixture(scope="module")
def judge() -> SpamJudge:
    judge = load_judge()
    judge.judge(["warm"])
    return judge


def check(raw: bytes, verdict: Verdict) -> None:
    """What holds of the verdict on every mail."""
    email = normalise(raw)
    assert verdict.answer in ("spam", "not spam", "unsure")
    assert 0 <= verdict.probability <= 1
    assert math.isfinite(verdict.threshold)
    for passage in verdict.evidence:
        assert math.isfinite(passage.weight)
        assert 0 <= passage.start < passage.end <= len(email.text)
        start, end = email.where(passage.start, passage.end)
        assert 0 <= start <= end <= len(email.shown)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_mail_gets_a_verdict_in_time(judge: SpamJudge, name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    (verdict,) = judge.judge([text_of(name)])
    assert time.process_time() - began < 4, "the promise is two seconds a mail; this counts both cores"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 400_000, "kB; no mail may need much more than itself"
    check(BROKEN[name], verdict)


def test_all_broken_mails_in_one_batch_are_judged_as_each_alone(judge: SpamJudge) -> None:
    texts = [text_of(name) for name in BROKEN]
    together = judge.judge(texts, evidence=False)
    assert len(together) == len(texts)
    for text, verdict in list(zip(texts, together, strict=True))[::7]:
        alone = judge.judge([text], evidence=False)[0].probability
        assert alone == pytest.approx(verdict.probability, abs=1e-3), "the network rounds to 8 bits"


def test_the_network_says_nearly_the_same_in_its_quickest_precision(judge: SpamJudge) -> None:
    assert isinstance(judge, StackedScorer)
    body = "Bad credit? No questions asked. Apply now and get $5,000 today: http://loans.example"
    spam = for_model(body, "Cheap loans")
    texts = [for_model("Bring the kids.", "Lunch on Sunday?"), spam, *map(text_of, BROKEN)]
    exact = log_odds(TextClassifier.load(BUNDLED / NEURAL), texts)
    assert exact[0] < 0 < exact[1]
    assert log_odds(judge.network, texts) == pytest.approx(exact, abs=0.35)  # of which a quarter counts


def test_the_network_is_rounded_only_where_that_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    assert quickest().precision == ("int8" if target() else "fp32")
    monkeypatch.setattr("engine.spam.stacked_scorer.compiles", lambda precision: False)
    assert quickest().precision == "fp32"


@given(st.lists(st.binary(max_size=1500), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_get_a_verdict(judge: SpamJudge, mails: list[bytes]) -> None:
    verdicts = judge.judge([normalise(raw).text for raw in mails])
    for raw, verdict in zip(mails, verdicts, strict=True):
        check(raw, verdict)


@given(st.text(max_size=400), st.floats(0, 1))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_at_any_rate_of_false_alarms(judge: SpamJudge, text: str, rate: float) -> None:
    """Even a text that no normaliser has seen, with lone surrogates and all."""
    (verdict,) = judge.judge([text], rate)
    assert (verdict.answer == "spam") == (verdict.probability >= verdict.threshold)
    (stricter,) = judge.judge([text], rate / 10, evidence=False)
    assert stricter.threshold >= verdict.threshold
