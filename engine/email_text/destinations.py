"""Where a mail's links lead, whom that suits, and addresses that anybody gets for nothing: some adds to the verdict.

A service links to itself, by its own domain or through who sends its mail; who pretends to be one has to lead people
to a page of his own. CHEAP and HOSTED hold what registries of abuse list most, year after year (Interisle's Phishing
Landscape, Spamhaus's statistics): endings that cost a dollar or less, and hosts where anybody's page is up in a minute.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qs, urlsplit

from engine.email_text.finding import Finding
from engine.email_text.html_text import Rendered
from engine.email_text.tokens import domain_of, host_of

# Log-odds. Of 298 mails 14 had such an ending and 12 such a page, all of them spam (training/LOG.md, 2026-12-01).
COSTS_NOTHING = 1.2
MOST = 500  # links that are looked at
SHORTEST = 5  # letters of a name that may stand for a longer one: facebook for facebookmail
_CHEAP = """
    autos bar beauty bid boats bond buzz cam cf cfd click cyou date download fun ga gq hair homes icu lat loan lol
    makeup men mom monster motorcycles mov party pics pw quest rest sbs shop skin stream surf tk top trade vip win
    xyz yachts zip
"""
_HOSTED = """
    000webhostapp.com canva.site cloudflare-ipfs.com duckdns.org dweb.link firebaseapp.com glitch.me godaddysites.com
    herokuapp.com ipfs.io netlify.app ngrok.io onrender.com pages.dev r2.dev square.site surge.sh trycloudflare.com
    vercel.app web.app webflow.io weebly.com wixsite.com workers.dev
"""
# Hosts of one firm where that holds of some of them only.
_HOSTED_AT = (
    "firebasestorage.googleapis.com",
    "storage.googleapis.com",
    "storage.cloud.google.com",
    "sites.google.com",
)
# Who passes people on, counting clicks or checking links: to lead there says nothing of where a mail leads.
_PASSES_ON = """
    awstrack.me beehiiv.com benchurl.com cmail19.com cmail20.com convertkit-mail2.com createsend1.com cudasvc.com
    customeriomail.com e2ma.net emlnk.com exct.net hubspotlinks.com intercom-mail.com kit-mail3.com klclick.com
    klclick1.com list-manage.com mailchi.mp mailchimp.com mailgun.org mandrillapp.com mimecast.com mjt.lu outlook.com
    proofpoint.com pstmrk.it rs6.net sendgrid.net sendibm1.com sparkpostmail.com urldefense.com
"""
CHEAP, HOSTED, PASSES_ON = frozenset(_CHEAP.split()), frozenset(_HOSTED.split()), frozenset(_PASSES_ON.split())
_URL = re.compile(r"(?:https?|hxxps?)://[^\s<>\"'\]|]{1,300}|(?<![\w.@/-])www\.[^\s<>\"'\]|]{3,300}", re.IGNORECASE)


def linked_hosts(text: str, renders: Iterable[Rendered]) -> list[str]:
    """Hosts that links lead to, of HTML and of plain text, in their order; addresses of mail left out."""
    targets = [link.target for rendered in renders for link in rendered.links[:MOST]]
    targets = [target for target in targets if re.match(r"\s*(?:https?|hxxps?):", target, re.IGNORECASE)]
    targets += [match[0] for _, match in zip(range(MOST), _URL.finditer(text), strict=False)]
    return [host for host in map(host_of, map(passed_on, targets)) if "." in host]


def passed_on(url: str) -> str:
    """Where `url` ends, if a mailbox's own check of links stands before it and tells; else `url`."""
    host = host_of(url)
    if not (host.endswith(".safelinks.protection.outlook.com") or host in ("www.google.com", "google.com")):
        return url
    try:
        fields = parse_qs(urlsplit(url).query)
    except ValueError:  # what is no URL, or has too many fields
        return url
    return next((fields[name][0] for name in ("url", "q") if fields.get(name, [""])[0].startswith("http")), url)


def leads_to(sender: str, hosts: Sequence[str]) -> bool:
    """Whether one of `hosts` is of who writes from the domain `sender`."""
    return bool(sender) and any(_same(sender, domain_of(host)) for host in hosts)


def elsewhere(sender: str, hosts: Sequence[str]) -> str:
    """A host of the domain that most links lead to, if none leads to the domain `sender`; "" if one does, or none
    tells."""
    told = {host: domain_of(host) for host in hosts if domain_of(host) not in PASSES_ON}
    if not told or leads_to(sender, list(told)):
        return ""
    domains = [domain_of(host) for host in hosts]
    return max(told, key=lambda host: domains.count(told[host]))


def of_destinations(sender: str, hosts: Sequence[str], serves: bool, shown: str) -> list[Finding]:
    """What is found of where links lead.

    Args:
        sender: the domain it is from, "" if that is not known.
        serves: whether the mail writes as a service does.
        shown: the text for people, in which a place is looked for.
    """
    found = []
    cheap = [domain for domain in dict.fromkeys([sender, *map(domain_of, hosts)]) if domain.rpartition(".")[2] in CHEAP]
    if cheap:
        what = "It is from" if cheap[0] == sender else "A link leads to"
        sentence = f"{what} {cheap[0][:80]}: addresses with this ending cost next to nothing, and much spam has them."
        found.append(Finding("cheap-domain", sentence, 0.6, *_place(cheap[0], shown), log_odds=COSTS_NOTHING))
    hosted = [host for host in hosts if domain_of(host) in HOSTED or host in _HOSTED_AT]
    if hosted and serves and sender != domain_of(hosted[0]):
        sentence = f"It writes as a service does, and a link leads to {hosted[0][:80]}, where anybody can put a page."
        found.append(Finding("hosted-page", sentence, 0.6, *_place(hosted[0], shown), log_odds=COSTS_NOTHING))
    return found


def _place(host: str, shown: str) -> tuple[int, int]:
    """Where `shown` has `host`; (-1, -1): nowhere."""
    found = re.search(re.escape(host), shown, re.IGNORECASE)
    return found.span() if found else (-1, -1)


def _same(sender: str, domain: str) -> bool:
    """Whether links to `domain` are those of who writes from `sender`: facebookmail.com links to facebook.com."""
    name, owner = domain.partition(".")[0], sender.partition(".")[0]
    return name == owner or (len(name) >= SHORTEST and owner.startswith(name))
