"""Letters in disguise are read as what they show; honest texts that look alike stay."""

from __future__ import annotations

import time

import pytest

from engine.email_text.edits import lead_back
from engine.email_text.letters import fold, respell
from engine.email_text.lookalikes import bare, enclosed, likenesses, regional_indicators
from engine.email_text.normalise import for_model, normalise

SENTENCE = "Hello, I write to you today about this: {} for all of your friends and their family"


def among(letters: str, between: str) -> str:
    return between.join(letters)


def after(letters: str, mark: str) -> str:
    return "".join(letter + mark for letter in letters)


def written(word: str, alphabet: str) -> str:
    """`word` in the letters of `alphabet`, which are those of "abcdefghijklmnopqrstuvwxyz" in order."""
    return "".join(alphabet[ord(letter) - ord("a")] for letter in word)


def shifted(word: str, first: int) -> str:
    return "".join(chr(first + ord(letter) - ord("a")) for letter in word)


SMALL_CAPITALS = "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘqʀꜱᴛᴜᴠᴡxʏᴢ"
CHEROKEE = "ᎪᏴᏟᎠᎬfᏀᎻᏆᎫᏦᏞmnoᏢqᏒᏚᎢuᏙᎳxᎽᏃ"
LISU = "ꓮꓐꓚꓓꓰꓝꓖꓧꓲꓙꓗꓡꓟꓠꓳꓑqꓣꓢꓔꓴꓦꓪꓫꓬꓜ"


@pytest.mark.parametrize(
    "mark",
    ["\u0313", "\u0336", "\u0332", "\u20dd", "\u0336\u0353\u030d", "\u0489", "\u0301\u0336"],
    ids=["comma above", "strike-through", "underline", "circle", "zalgo", "millions", "accent and stroke"],
)
def test_marks_on_latin_letters_are_dropped(mark: str) -> None:
    assert for_model(SENTENCE.format(after("Cheap viagra", mark).replace(f" {mark}", " "))) == SENTENCE.format(
        "Cheap viagra"
    )


def test_accents_are_dropped_as_before_and_marks_of_other_alphabets_stay() -> None:
    assert for_model("café mañana über Tiếng Việt e\u0301te\u0301") == "cafe manana uber Tieng Viet ete"
    for honest in ("за\u0301мок и замо\u0301к", "שָׁלוֹם עֲלֵיכֶם", "हिन्दी में लिखा", "ภาษาไทย"):
        assert for_model(honest) == honest
    assert bare("1\u20e3 2\u20e3 3\u0336") == "1\u20e3 2\u20e3 3\u0336"  # what is struck out of a price says something


@pytest.mark.parametrize("blank", "\u3164\uffa0\u2800\u115f\u1160\u180e\u202f\u205f\U0001d159\U0001d173\u2062")
def test_blanks_within_a_word(blank: str) -> None:
    assert for_model(SENTENCE.format(among("viagra", blank))) == SENTENCE.format("viagra")


@pytest.mark.parametrize("blank", "\u3164\uffa0\u2800\u202f\u205f")
def test_blanks_between_words(blank: str) -> None:
    assert for_model(f"cheap{blank}pills{blank}today") == "cheap pills today"


@pytest.mark.parametrize(
    "disguised",
    [
        written("viagra", SMALL_CAPITALS),
        "vɨaɠɍa",
        "vıⱥgɾa".replace("ɾ", "ɍ"),
        "ѵıаgга",
        "viдgяa",
        "νιαgrα",
        written("viagra", CHEROKEE),
        written("viagra", LISU),
        shifted("viagra", 0x1F150),
        shifted("viagra", 0x1F170),
        shifted("viagra", 0x1F130),
        shifted("viagra", 0x249C),
        shifted("viagra", 0x1F110),
        shifted("viagra", 0x1F1E6),
        among(shifted("viagra", 0x1F1E6), " "),
    ],
)
def test_letters_of_other_kinds_in_an_english_text(disguised: str) -> None:
    email = normalise(SENTENCE.format(disguised))
    assert email.text.lower() == SENTENCE.format("viagra").lower()
    assert {finding.kind for finding in email.findings} <= {"look-alike", "spaced-out"}
    if " " not in disguised:
        assert [email.shown[finding.start : finding.end] for finding in email.findings] == [disguised]


@pytest.mark.parametrize(
    ("disguised", "plain"),
    [
        ("сосо", "coco"),
        ("ассеѕѕ", "access"),
        ("орроѕе", "oppose"),
        ("Ассеѕѕ/Ѕрасе!", "Access/Space!"),
    ],
)
def test_whole_words_in_cyrillic_lookalikes(disguised: str, plain: str) -> None:
    expected = plain if plain != "coco" else disguised  # no common word: it may be what it is
    assert for_model(SENTENCE.format(disguised)) == SENTENCE.format(expected)


def test_a_text_that_is_in_disguise_throughout() -> None:
    plain = "please order your cheap pills online today and save money with the best price for all of you"
    for alphabet in (SMALL_CAPITALS, CHEROKEE):
        disguised = " ".join(written(word, alphabet) if len(word) > 3 else word for word in plain.split())
        assert for_model(disguised).lower() == plain
    assert for_model(" ".join(written(word, SMALL_CAPITALS) for word in plain.split())) == plain


@pytest.mark.parametrize(
    "honest",
    [
        "Der var høst, før vi først kørte til København. Økser, øl og smørrebrød blev gemt i et skur ved søen.",
        "Det er først når du ser på høsten at du forstår hvor mye arbeid som ligger bak et brød, sa Bjørn.",
        "Łódź leży w środku Polski. Był tam mały dom, który stał pod lasem, i pies, który się wabił Łatek.",
        "АТОМ состоит из ядра и электронов. Мама и кот ехали в город, ТОМ и рот, нет, там сор, рекорд: ВОР, КОСМОС.",
        "Το άτομο είναι μικρό. Ο τόπος και η ώρα, όπου οι νέοι τρώνε κάτι, και ο νόμος του κόσμου.",
        "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ᎠᏂᏴᏫᏯ ᎤᎾᏙᏢᏒ",
        "שלום לכולם, נפגש מחר בבוקר בבית הקפה ליד הים",
    ],
)
def test_other_languages_keep_their_letters(honest: str) -> None:
    unfolded = {c for c in honest if not c.isascii() and bare(c) == c}
    assert unfolded == {c for c in for_model(honest) if not c.isascii()}
    assert not normalise(honest).findings
    in_english = f"Hello all of you, this is what I have read in my book today:\n\n{honest}\n\nWhat do you think of it?"
    assert unfolded == {c for c in for_model(in_english) if not c.isascii()}


@pytest.mark.parametrize(
    "honest",
    [
        "I met Søren Kierkegaard and Lech Wałęsa's friend from Bjørnøya near Łódź",
        "The play-off 🇬🇧🇫🇷 and 🇨🇭🇦🇹 and 🇺🇸🇩🇪🇮🇹 is on, 🇯🇵 too",
        "The 🅿 is full and so is the 🅱 lot",
        "α and β are angles, Δx is a change and Ωm a matter",
    ],
)
def test_letters_that_stay_in_english_texts(honest: str) -> None:
    unfolded = [c for c in honest if not c.isascii() and bare(c) == c]
    assert unfolded == [c for c in for_model(honest) if not c.isascii()]
    assert not normalise(honest).findings


@pytest.mark.parametrize("sign", [*"'`:;,\"+=#^!\\°%&?", ")(", "][", "❤", "✨", "\U0001f48a", "' ", " ; ", " ❤ "])
def test_any_sign_between_the_letters_of_a_word(sign: str) -> None:
    email = normalise(SENTENCE.format(among("viagra", sign)))
    assert email.text == SENTENCE.format("viagra")
    assert [(f.kind, email.shown[f.start : f.end]) for f in email.findings] == [("spaced-out", among("viagra", sign))]


@pytest.mark.parametrize(
    ("disguised", "plain"),
    [
        ("v * 1 . a . g . r ' a", "viagra"),
        ("h . y ' d ' r * 0 ' c ' o . d * o * n ' e", "hydrocodone"),
        ("(C)(h)(e)(a)(p) [p][i][l][l][s]", "(Cheap) [pills]"),
        ("r.e.v.i.s.i.o.n", "revision"),
        ("o`r`d`e`r h`e`r`e", "order here"),
        ("x:a:n:a:x, v:a:l:i:u:m", "xanax, valium"),
    ],
)
def test_mixed_signs_and_several_words(disguised: str, plain: str) -> None:
    assert for_model(SENTENCE.format(disguised)) == SENTENCE.format(plain)


@pytest.mark.parametrize(
    "honest",
    [
        "(un)subscription, she'll, they've, rock'n'roll, R'n'B, o'clock, a/b/c, e.g., i.e., U.S.A. and A.B.C.D.",
        "J. R. R. Tolkien, C. S. Lewis and J.R.R. Tolkien; E. A. Poe, B. B. King's C.E.O.'s office",
        "a) b) c) d) and (a) (b) (c) (d) and 1) 2) 3) 4) and A: B, C; D",
        "a+b=c+d, x = (a + b) * c / d, f(a, b, c, d), a[i] = b[j] + c[k], if (a && b || c && d) { e = f; }",
        "for (i=0; i<n; i++) s += a[i]*b[i]; x^2 + y^2 = r^2; p -> q; a != b; c:\\d\\e",
        "the keys W, A, S, D and the strings E, A, D, G, B, E",
        "n\no\nw\ns",
        "a;b;c;d e;f;g;h #1 #2 #3 #4 I, a, I! O, I, a, O!",
    ],
)
def test_single_letters_that_are_no_word_stay(honest: str) -> None:
    assert for_model(honest) == honest
    assert not normalise(honest).findings


def test_places_lead_back_to_what_is_shown() -> None:
    shown = (
        f"one\u2800two v;i;a;g;r;a three c\u0336a\u0336s\u0336h and {shifted('order', 0x1F150)} your four\u200bfive end"
    )
    email = normalise(f"Subject: hi\n\n{shown}")
    for made, source in (
        ("two", "two"),
        ("viagra", "v;i;a;g;r;a"),
        ("three", "three"),
        ("cash", "c\u0336a\u0336s\u0336h"),
        ("ORDER", shifted("order", 0x1F150)),
        ("fourfive", "four\u200bfive"),
        ("end", "end"),
    ):
        start = email.text.index(made)
        assert email.shown[slice(*email.where(start, start + len(made)))] == source


def test_passes_lead_back_from_letters_alone() -> None:
    text = "a\u200bb \u2800 ᴄᴀꜱʜ for you and all s;a;v;e"
    folded, first, _ = fold(text)
    new, second, _ = respell(folded)
    start = new.index("save")
    assert text[slice(*lead_back([*first, *second], start, start + 4))] == "s;a;v;e"


def test_tables_come_from_unicode_names() -> None:
    assert "ᴀøłɨ".translate(likenesses()) == "aoli"
    assert [len(table) for table in (enclosed(), regional_indicators())] == [26 * 4, 26]


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "a.a.",
            "((((",
            "a'a'",
            "a ; ",
            "a\u0301",
            "a\u0336\u0353",
            "❤",
            "a❤",
            "🇬",
            "🅐",
            "⒜",
            "ᴀ",
            "ᴀʟʟ ",
            "а",
            "\u2800",
        ),
        *("!!!!", "a!!!", "@!$", "a\u2800", "о ", "ø", "a(b", "a\t'", "\u0336\u0323", "АТОМ ", "a_'", "_'_a"),
    ],
)
def test_a_megabyte_of_anything_is_read_in_time(piece: str) -> None:
    began = time.process_time()
    normalise(piece * (1_000_000 // len(piece.encode())))
    assert time.process_time() - began < 2, "the promise is two seconds of work a mail"
