"""Cleaning and filters: what is mended, what is taken out of markup, and which documents are dropped for what."""

from __future__ import annotations

import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data import cleaning
from training.data.cleaning import clean, clean_text, is_markup, mend, text_of_markup
from training.data.filters import check_language, poor, probability, reason_to_drop
from training.recipe import DataRecipe, QualityRecipe, RecipeError

RECIPE = DataRecipe(())
PROSE = (
    "The old harbour was quiet that morning, and the boats that had come in the night lay with their nets still wet. "
    "A woman with a basket walked along the wall, looked at each of them, and went on to the last one. "
    "She knew the man who mended nets there; he had promised her a fish for the bread she had brought him on Monday. "
    "When he saw her he laughed, held up a mackerel, and asked whether the oven had been kind to her this week."
)


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("I donâ€™t know.", "I don\u2019t know."),
        ("The cafÃ© was full.\nThe café was empty.", "The café was full.\nThe café was empty."),
        ("L’été à Paris, naïve señor Ångström", "L’été à Paris, naïve señor Ångström"),
        ("Привет, 世界 and “quotes” — dashes", "Привет, 世界 and “quotes” — dashes"),
        ("plain", "plain"),
    ],
)
def test_wrongly_decoded_text_is_mended_and_other_text_left_alone(broken: str, whole: str) -> None:
    assert mend(broken) == whole
    assert clean({"text": broken}, RECIPE) == {"text": clean_text(whole)}
    assert clean({"text": broken}, DataRecipe((), mojibake=False)) == {"text": clean_text(broken)}


@given(
    st.text(
        st.one_of(st.sampled_from("aB \n\t\r\u00a0\u200b\ufeff\u3000\x07é"), st.characters(codec="utf-8")), max_size=60
    )
)
def test_cleaning_by_its_definition(text: str) -> None:
    """The quick way round for text with nothing to clean comes to the same."""
    slow = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    slow = cleaning._BLANK.sub(" ", cleaning._CONTROL.sub("", slow))
    slow = cleaning._LINES.sub("\n\n", "\n".join(line.rstrip() for line in slow.split("\n"))).strip()
    assert clean_text(text) == slow


def test_a_page_becomes_its_text() -> None:
    page = (
        "<!DOCTYPE html><html><head><title>x</title><style>p{}</style><script>var a=1;</script></head><body>"
        "<nav><a href='/'>Home</a></nav><h1>Bread</h1><p>Mix flour &amp; water<br>and wait.</p>"
        "<ul><li>bake</li><li>eat</li></ul><footer>© us</footer></body></html>"
    )
    assert clean({"text": page}, RECIPE) == {"text": "Bread\n\nMix flour & water\nand wait.\n\n • bake\n • eat"}
    assert clean({"text": page}, DataRecipe((), markup=False)) == {"text": page}
    assert is_markup("<p>One</p><p>two</p>\n<p>three, <b>four</b></p>")
    assert text_of_markup("<p>One</p><p>t<b>w</b>o</p>") == "One\n\ntwo"


@pytest.mark.parametrize(
    "text",
    [
        "Write <b>bold</b> and the browser shows it bold. " + PROSE,
        "if a < b and b > c: pass",
        "I <3 you <br>",
        PROSE,
    ],
)
def test_text_that_mentions_a_tag_is_no_page(text: str) -> None:
    assert not is_markup(text)


LINES = PROSE.split(". ")
RANDOM = random.Random(0)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (None, PROSE),
        (None, "- one\n- two\n- three\n- four"),
        ("word_length", "a b c d e f " * 20),
        ("word_length", "incomprehensibilities-and-antidisestablishmentarianism " * 60),
        ("symbols", " ".join(f"#{word}" if i % 4 == 0 else word for i, word in enumerate(PROSE.split()))),
        ("few_letters", " ".join(str(RANDOM.random())[:5] if i % 2 else w for i, w in enumerate(PROSE.split()))),
        (None, " ".join(f"{w}, (1)" if i % 4 == 0 else w for i, w in enumerate(PROSE.split()))),
        (
            "repetitive",
            "the old harbour was as quiet as ever and the boats were all in and the boats were all out " * 30,
        ),
        ("bullets", "\n".join(f"- {word} of the list that goes on" for word in PROSE.split())),
        ("ellipses", "\n".join(f"{line} ..." for line in LINES)),
        ("repeated_lines", "\n".join([PROSE, *["Click here to read more of this story"] * 12])),
        ("repetitive", "and then he said that she said that he said that " * 40),
        ("stop_words", " ".join(w for w in (PROSE * 2).split() if len(w) > 4)),
    ],
)
def test_quality_rules_say_why(reason: str | None, text: str) -> None:
    assert poor(text, QualityRecipe(), english=True) == reason
    document = {"text": text}
    assert reason_to_drop(document, DataRecipe((), language="en", language_threshold=0.0)) == reason
    assert reason_to_drop(document, DataRecipe((), quality=QualityRecipe(on=False))) is None


def test_stop_words_are_asked_of_english_only_and_chats_are_not_judged() -> None:
    text = " ".join(w for w in (PROSE * 2).split() if len(w) > 4)
    assert poor(text, QualityRecipe()) is None
    chat = {"messages": [{"role": "user", "content": "x " * 90}, {"role": "assistant", "content": "y " * 90}]}
    assert reason_to_drop(chat, RECIPE) is None


def test_only_the_wanted_language_stays() -> None:
    german = "Der alte Hafen war an diesem Morgen still, und die Boote lagen mit noch nassen Netzen an der Mauer."
    french = "Le vieux port était calme ce matin-là, et les bateaux revenus dans la nuit séchaient leurs filets."
    english = DataRecipe((), language="en")
    assert probability(PROSE, "en") > 0.9
    assert reason_to_drop({"text": PROSE}, english) is None
    assert [reason_to_drop({"text": t}, english) for t in (german, french)] == ["language", "language"]
    assert reason_to_drop({"text": german}, DataRecipe((), language="de")) is None
    assert reason_to_drop({"text": german}, RECIPE) is None
    assert reason_to_drop({"text": "Guten Morgen, wie geht es dir?"}, english) is None, "too short to tell"
    assert reason_to_drop({"text": "Hi."}, english) == "short"
    check_language("en")
    with pytest.raises(RecipeError, match="'english' is not known; known are ace, af, "):
        check_language("english")
