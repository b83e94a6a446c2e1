"""URLs, addresses, money, phone numbers and numbers as tokens that say what matters: `<url example.com>`, `<money 4>`.

A number's digits are counted, not kept; a URL keeps its host and what is odd about it; an address keeps its domain.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from engine.email_text.edits import Edits, substitute

_ENDINGS = (
    "com|net|org|info|biz|edu|gov|mil|int|name|pro|mobi|io|co|me|tv|cc|ws|ru|su|cn|in|br|uk|de|fr|nl|it|es|pl|jp|kr|au|ca"
    "|us|eu|ch|at|be|se|no|dk|fi|cz|hu|ro|gr|tr|ua|za|mx|ar|nz|ie|il|hk|sg|tw|id|th|vn|my|ph|top|xyz|site|online|club|shop"
    "|store|live|icu|vip|work|link|click|bid|loan|win|men|date|review|download|stream|trade|science|party|gq|ml|cf|ga|tk|app"
    "|dev|ai|page|cloud|life|world|space|website|tech|email|buzz|rest|cyou|monster|zip|mov"
)
HOST = rf"(?:[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?\.){{1,8}}(?:{_ENDINGS})"
IN_WORDS = re.compile(rf"(?:https?://)?((?:www\.)?{HOST})(?![\w-])", re.IGNORECASE)  # a host that a text speaks of
SHORTENERS = frozenset(
    [
        *(
            "bit.ly",
            "t.co",
            "tinyurl.com",
            "goo.gl",
            "ow.ly",
            "is.gd",
            "buff.ly",
            "rebrand.ly",
            "cutt.ly",
            "rb.gy",
        ),
        *(
            "t.ly",
            "shorturl.at",
            "tiny.cc",
            "lnkd.in",
        ),
    ]
)
_PATTERN = re.compile(
    rf"""(?P<url>(?:https?|ftps?|hxxps?)\s?://[^\s<>"'\]|]{{1,2000}} | www\.[^\s<>"'\]|]{{3,2000}})
    | (?P<email>(?<![\w.+-])[\w.+-]{{1,64}}@[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{1,8}})
    | (?P<bare>(?<![\w@.-]){HOST}(?![\w@.-]*\w)(?:/[^\s<>"'\]|]{{0,2000}})?)
    | (?P<money>(?:US|CA|AU|HK)?[$£€¥₹]\s?\d[\d,.]{{0,20}}(?:\s?(?:k|m|bn|thousand|million|billion|mil)\b)?
        | (?<!\w)(?:USD|EUR|GBP|CAD|AUD|Rs)\.?\s?\d[\d,.]{{0,20}}(?:\s?(?:k|m|bn|thousand|million|billion|mil)\b)?
        | (?<!\w)\d[\d,.]{{0,20}}\s?(?:(?:thousand|million|billion)\s)?
            (?:USD|EUR|GBP|(?:us\s)?dollars?|euros?|pounds?)\b)
    | (?P<phone>(?<![\w.])\+?\(?\d(?:[ ().-]{{0,2}}\d){{8,14}}(?!\w))
    | (?P<number>(?<!\w)\d[\d,.]{{0,30}}\d(?!\w))
    | (?P<code>(?<!\w)(?=[^\s]{{0,60}}\d)[A-Za-z0-9+/=_-]{{32,}}(?!\w))""",
    re.IGNORECASE | re.VERBOSE,
)
_MANY = {"k": 3, "thousand": 3, "m": 6, "mil": 6, "million": 6, "bn": 9, "billion": 9}
_YEAR = re.compile(r"(?:19|20)\d\d")
_MULTIPLE = re.compile(r"(k|thousand|mil|million|m|bn|billion)\b", re.IGNORECASE)


def tokenise(text: str) -> tuple[str, Edits]:
    """`text` with its tokens, and the edits. A whole number below 100 stays: "24/7", "2 for 1" are words."""
    return substitute(_PATTERN, _token, text)


def _token(match: re.Match[str]) -> str | None:
    kind, found = match.lastgroup, match[0]
    if kind in ("url", "bare"):
        trailing = found[len(found.rstrip(".,;:!?)")) :]
        return url_token(found) + trailing
    if kind == "email":
        return f"<email {found.rpartition('@')[2].lower()[:60]}>"
    if kind == "money":
        return f"<money {_digits(found) + _multiple(found)}>"
    if kind == "phone":
        return "<phone>"
    if kind == "code":
        return "<code>"
    if _YEAR.fullmatch(found):
        return "<year>"
    trailing = found[len(found.rstrip(".,")) :]
    digits = _digits(found)
    return f"<number {digits}>{trailing}" if digits > 2 and found != "100" else None


def _digits(number: str) -> int:
    """Digits before the decimal point of "1,250.00" (or "1.250,00"): 4."""
    whole = re.sub(r"[.,]\d{1,2}(?!\d)", "", number)
    return sum(c.isdigit() for c in whole)


def _multiple(money: str) -> int:
    found = _MULTIPLE.search(money)
    return _MANY[found[1].lower()] if found else 0


def host_of(url: str) -> str:
    """The host that a browser would go to, in lower case; "" when there is none."""
    url = re.sub(r"^hxxp", "http", re.sub(r"\s?://", "://", url.strip()), flags=re.IGNORECASE)
    try:
        return (urlsplit(url if "://" in url else f"http://{url}").hostname or "").rstrip(".,;:!?)")
    except ValueError:
        return ""


def domain_of(host: str) -> str:
    """The part of `host` that somebody registered, as far as it shows without a list: "a.b.co.uk" → "b.co.uk"."""
    labels = host.lower().strip(".").split(".")
    second = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in ("co", "com", "org", "net", "ac", "gov", "edu")
    return ".".join(labels[-3 if second else -2 :])


def url_token(url: str) -> str:
    """`<url HOST ODD>`, odd being figures, a short link, a port, a name before @, punycode, a program."""
    host = host_of(url)
    rest = url.partition("://")[2] or url
    figures = bool(re.fullmatch(r"[\d.]+|0x[0-9a-f]+|[\da-f]*:[\da-f:]+", host))
    odd = [
        word
        for word, true in (
            ("figures", figures),
            ("short", domain_of(host) in SHORTENERS),
            ("port", bool(re.match(r"[^/]*:\d+", rest)) and not figures),
            ("at", "@" in rest.partition("/")[0]),
            ("punycode", "xn--" in host),
            (
                "program",
                bool(re.search(r"\.(?:exe|scr|bat|cmd|js|vbs|msi|apk|jar|pif|zip|iso|img)\b", rest.partition("/")[2])),
            ),
        )
        if true
    ]
    return f"<url {' '.join([host[-60:] if not figures else '', *odd]).strip() or 'empty'}>"
