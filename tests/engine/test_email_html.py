"""What of an HTML mail is seen, what is not, and where its words begin and end."""

from __future__ import annotations

import time

import pytest

from engine.email_text.colours import parse_colour
from engine.email_text.html_text import Rendered, render

SPAM = "seen by all"
PADDING = "seen by none"


def styled(style: str) -> str:
    return f'<div style="{style}">{{}}</div>'


def ruled(rules: str, tag: str = "<div class=x>", attributes: str = "") -> str:
    return f"<style{attributes}>{rules}</style>{tag}{{}}</div>"


def unseen(rendered: Rendered) -> str:
    return " ".join(hidden.text for hidden in rendered.hidden)


@pytest.mark.parametrize(
    "html",
    [
        # a wrapper hides, what is in it does not: columns of newsletters are made so
        '<div style="font-size:0"><p style="font-size:16px">{}</p></div>',
        '<table><td style="font-size:0px;line-height:0"><span style="font-size:14px">{}</span></table>',
        '<div style="font-size:0"><font size="2">{}</font></div>',
        '<div style="font-size:0"><p style="font-size:calc(1vw + 9px)">{}</p></div>',
        '<div style="font-size:0"><button>{}</button></div>',
        '<div style="visibility:hidden"><p style="visibility:visible">{}</p></div>',
        '<div style="text-indent:-9999px"><p style="text-indent:0">{}</p></div>',
        # rules that do not apply
        ruled("/* .x{display:none} */"),
        "<!--<style>.x{display:none}</style>--><div class=x>{}</div>",
        "<script>'<style>.x{display:none}</style>'</script><div class=x>{}</div>",
        ruled(".x{display:none}", attributes=" media=print"),
        ruled(".x{display:none}", attributes=" type=text/none"),
        ruled("@media print{.a{color:red} /* } */ .x{display:none}}"),
        ruled("@media (max-width:600px){.x{display:none}}"),
        ruled("@supports (no:such){.x{display:none}}"),
        ruled(".no .x{display:none}"),
        ruled("b.x{display:none}"),
        ruled("a:hover .x{display:none}"),
        # rules that are outranked
        ruled(".x{display:block!important}.x{display:none}"),
        ruled(".x{display:none}.x,.y{display:block}"),
        ruled(".x{display:none}@media screen{.x{display:block}}"),
        ruled("div.x{display:block}.x{display:none}"),
        ruled("#y{display:block}.x{display:none}", "<div class=x id=y>"),
        ruled(".x{display:block ! important}", '<div class=x style="display:none">'),
        ruled("body{background-color:#003}", '<div style="color:#fff">'),
        '<div hidden style="display:block">{}</div>',
        # a rule that may apply: what others hide may be shown
        ruled(".x{display:none} body .x{display:block}"),
        ruled("div{color:#fff} body>div{color:#000}"),
        ruled("body .x{background:#222}", '<div class=x style="color:#fff">'),
        # declarations that say something else
        styled("mso-hide:all"),
        styled("font-size:2vw"),
        styled("font-size:1pc"),
        styled("font-size:.5cm"),
        styled("font-size:.2in"),
        styled("font-size:1.5ex"),
        styled("font:bold 2vw Arial"),
        styled("font-size:1"),
        styled("left:-9999px"),
        styled("top:-9999px"),
        styled("margin-left:-1000px;padding-left:1000px"),
        styled("height:0;min-height:500px;overflow:hidden"),
        styled("height:0;overflow-x:hidden;overflow:visible"),
        '<span style="height:0;overflow:hidden">{}</span>',
        "<table><td style='max-width:1px;overflow:hidden'>{}</table>",
        styled("opacity:0;opacity:1"),
        styled("opacity:0 .9"),
        styled("display:nonexistent"),
        styled("{display:none}"),
        styled("foo display:none"),
        styled("font-family:'a;display:none'"),
        styled("background:url('x;display:none')"),
        "<p color=white>{}</p>",  # browsers heed it on <font> only
        # a background that is dark, or of which nothing can be said
        styled("background:teal;color:white"),
        styled("background:hsl(0,0%,0%);color:#fff"),
        styled("background:linear-gradient(#000,#111);color:#fff"),
        styled("background:none #000;color:#fff"),
        styled("background:var(--dark);color:#fff"),
        styled("background:url(data:image/png;base64,AAAA);color:#fff"),
        "<table bgcolor=midnightblue><td><font color=white>{}</font></table>",
        '<div style="color:#fff"><a href="/">{}</a></div>',  # blue, unless it says otherwise
        # what is shown instead of what a mail cannot do
        "<p><noscript>{}</noscript>",
        "<object>{}</object>",
        "<details><summary>{}</summary>more</details>",
        "<details open>{}</details>",
        "<dialog open>{}</dialog>",
    ],
)
def test_what_is_seen_is_read(html: str) -> None:
    rendered = render(html.replace("{}", SPAM))
    assert SPAM in rendered.text
    assert SPAM not in unseen(rendered)


@pytest.mark.parametrize(
    "html",
    [
        *(
            ruled(rules)
            for rules in (
                ".x,.y{display:none}",
                ".a, .x, .b{font-size:0;line-height:0}",
                "div{display:none}",
                "div.x{display:none}",
                "@media all{.x{display:none}}",
                "@media only screen{.x{display:none}}",
                "@import url(a.css); .x{display:none}",
                ".x/**/{display:none}",
                ".x{display:none",
                "<!-- .x{display:none} -->",
                "div{color:#fff}",
            )
        ),
        ruled("#x{display:none}", "<div id=x>"),
        ruled("body .x{display:block}", '<div class=x style="display:none">'),
        ruled(".x{display:none} body .x{display:none;color:red}"),
        *(
            styled(style)
            for style in (
                "display/**/:none",
                "display:/**/none",
                r"d\69splay:none",
                f"{';' * 5001}display:none",
                "opacity:.01",
                "opacity:0%",
                "filter:opacity(0)",
                "content-visibility:hidden",
                "height:1px;overflow:hidden",
                "max-height:1px;overflow:hidden",
                "height:0;overflow-y:hidden",
                "height:0;overflow:clip",
                "position:absolute;clip:rect(0 0 0 0)",
                "position:absolute;clip:rect(1px,1px,1px,1px)",
                "clip-path:circle(0)",
                "clip-path:inset(50%)",
                "transform:scale(0)",
                "transform:translateX(-9999px)",
                "position:absolute;right:-9999px",
                "position:fixed;bottom:-9999px",
                "position:absolute;left:-400em",
                "position:absolute;left:9999px",
                "font:0px Arial",
                "font:1px Times New Roman",
                "font:normal 1px/1px Arial,sans-serif",
                "font-size:3px",
                "color:transparent",
                "color:rgba(0,0,0,0)",
                "color:#ffffffff",
                "color:rgb(100%,100%,100%)",
                "color:hsl(0,0%,100%)",
                "color:azure",
                "color:#f0f0f0",
                "background:teal;color:teal",
                "background:#123456;color:#123456",
                "-webkit-text-fill-color:transparent",
            )
        ),
        *(
            f"<{tag}>{{}}</{tag}>"
            for tag in ("datalist", "dialog", "audio", "video", "canvas", "noframes", "noembed", "rp", "details")
        ),
    ],
)
def test_what_is_not_seen_is_not_read_and_is_told(html: str) -> None:
    rendered = render(f"<p>before</p>{html.replace('{}', PADDING)}<p>after</p>")
    assert rendered.text.split() == ["before", "after"]
    assert PADDING in unseen(rendered)


@pytest.mark.parametrize(
    "html",
    [
        f"<input type=hidden value='{PADDING}'>",
        f"<input type=checkbox value='{PADDING}'>",
        f"<img src=x width=3 height=3 alt='{PADDING}'>",
        f"<img src=x style='width:1px;height:9px' alt='{PADDING}'>",
    ],
)
def test_values_and_names_that_nobody_sees(html: str) -> None:
    assert PADDING not in render(html).text


def test_values_and_names_that_are_seen() -> None:
    assert "Send" in render("<input type=submit value=Send>").text
    assert "[image: logo]" in render("<img src=x width=100% height=40 alt=logo>").text


LINK = "http://a.example/b"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("vi<div style='display:none'>x</div>agra", "viagra"),
        ("vi<div style='position:absolute;left:-999px'>x</div>agra", "viagra"),
        ("vi<br style='display:none'>agra", "viagra"),
        ("vi<input type=hidden value=x>agra", "viagra"),
        ("vi<div style='display:inline'>ag</div>ra", "viagra"),
        (f"vi<a href='{LINK}'></a>agra", "viagra"),
        (f"vi<a href='{LINK}' style='display:none'>x</a>agra", "viagra"),
        (f"vi<a href='{LINK}'>ag</a>ra now", f"viagra ({LINK}) now"),
        (f"<a href='{LINK}'>vi</a><a href='{LINK}'>agra</a> now", f"viagra ({LINK}) now"),
        ("vi<img src=x width=3 height=3 alt=q>agra", "viagra"),
        ("<bdo dir=rtl>(won) argaiv</bdo>", "viagra (now)"),
        ("<p style='unicode-bidi:bidi-override;direction:rtl'>ar<b>gaiv</b></p>", "viagra"),
        # blocks that take room break a line, and targets stand behind their words
        ("vi<div style='visibility:hidden'>x</div>agra", "vi\nagra"),
        ("vi<div>ag</div>ra", "vi\nag\nra"),
        (f"<a href='{LINK}'>here</a>, please", f"here ({LINK}), please"),
        (f"<a href='{LINK}'><img src=x></a>now", f"({LINK})now"),
        ("<a href='http://a.example'>one</a><a href='http://b.example'>two</a>",
         "one (http://a.example)two (http://b.example)"),
        # other ways of writing stay as they are
        ("<p dir=rtl>abc</p>", "abc"),
        ("<bdo dir=ltr>abc</bdo>", "abc"),
        ("<bdo dir=rtl>שלום abc</bdo>", "שלום abc"),
        ("<p dir=rtl style='unicode-bidi:embed'>سلام abc</p>", "سلام abc"),
    ],
)  # fmt: skip
def test_words_are_those_that_are_seen(html: str, text: str) -> None:
    assert render(f"<div>{html}</div>").text == text


@pytest.mark.parametrize(
    "word",
    [
        "<span style='margin-right:4px'>{}</span>",
        "<span style='margin:0 4px'>{}</span>",
        "<span style='display:inline-block;padding:0 2px'>{}</span>",
        "<span style='display:block'>{}</span>",
        "<b style='float:left;margin-right:4px'>{}</b>",
        "<button>{}</button>",
        "{}<img src=s.gif width=4 height=1>",
    ],
)
def test_words_that_are_set_apart_are_not_glued(word: str) -> None:
    words = ["Order", "now,", "only", "$5"]
    assert render("".join(word.replace("{}", text) for text in words)).text.strip() == "Order now, only $5"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<span style='float:left;padding-right:4px'>O</span>nce upon a time", "Once upon a time"),
        ("run <code style='padding:2px 4px'>make</code>, then", "run make, then"),
        ("<b style='display:inline-block'>in</b>side", "inside"),
        ("<span style='margin-right:1px'>in</span>side", "inside"),
    ],
)
def test_gaps_that_are_none(html: str, text: str) -> None:
    assert render(html).text == text


def test_behind_too_many_tags_the_text_is_read_without_them() -> None:
    rest = "<p>Buy <b>vi</b>agra &amp; more</p><style>p{color:red}</style><!-- > x --><td>here</td><td>now</td>"
    rendered = render("<p>Hello</p>" + "<b></b>" * 7500 + rest)
    assert rendered.cut
    assert rendered.text.split("\n") == ["Hello", "Buy viagra & more", "here now"]


def test_colours_of_every_kind() -> None:
    white = ["#fff", "#FFFFFF", "#ffff", "rgb(255 255 255 / 50%)", "rgb(100%,100%,100%)", "hsl(0deg, 0%, 100%)"]
    assert {parse_colour(value) for value in white} == {(255, 255, 255)}
    assert parse_colour("rebeccapurple") == (102, 51, 153)
    assert parse_colour("hsl(120,100%,25%)") == (0, 128, 0)
    assert [parse_colour(value) for value in ("rgb(a,b,c)", "rgb(1)", "#12345", "var(--x)", "")] == [None] * 5


@pytest.mark.parametrize(
    "sign", ["<", "(", "{", "/*", "/*/*", "\\", '"', "'", "url(", ";", "!", "a,", "@media x{", ".a{"]
)
@pytest.mark.parametrize(
    "html",
    [
        "<style>{}</style>hello",
        "<style>.a{color:{}}</style><p class=a>hello",
        '<p style="background:{};font:{}">hello',
        "{}",
    ],
)
def test_signs_without_end_are_read_in_time(sign: str, html: str) -> None:
    began = time.process_time()
    render(html.replace("{}", sign * (500_000 // len(sign))))
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "html",
    [
        "<style>" + ",".join(f".a{n}" for n in range(40_000)) + "{" + "color:red;" * 40_000 + "}</style>x",
        "<style>" + ".x{display:none}" * 60_000 + "</style>" + "<p class=x>x" * 14_000,
        "<b></b>" * 8000 + "<style>" * 100_000,
        "<b></b>" * 8000 + "<" * 500_000,
        "<bdo dir=rtl>v</bdo>" * 7000,
        "<a href='http://a.example'>v</a>" + "\u200b" * 500_000,
    ],
    ids=["many names", "many rules", "style in the rest", "signs in the rest", "turned", "zero-width"],
)
def test_much_of_anything_is_read_in_time(html: str) -> None:
    began = time.process_time()
    render(html)
    assert time.process_time() - began < 2
