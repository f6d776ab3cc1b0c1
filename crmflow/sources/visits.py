"""What the sources of access logs share: which requests are visits of a prospect, and to which page.

A request is a visit if it is a GET that was answered with a page or a picture, by no program that says so, and its
query names the prospect. A picture's query tells the page (`u`) and an id (`e`), as `crmflow tracking code` makes them
send it; without `u` it is the page that the picture was shown on.
"""

from datetime import datetime
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from crmflow.core.model import Event
from crmflow.sources.links import unwrapped
from crmflow.sources.objects import LineError, is_encodable
from crmflow.sources.suspicion import is_machine
from crmflow.sources.terms import Terms

PAGE, EVENT_ID = "u", "e"
"""The parameters that tell a page, and an event's own id."""

ANSWERED = frozenset({"200", "204", "206", "304"})
_PICTURES = (".gif", ".png")
_MOST_PARAMETERS = 100


class Request(NamedTuple):
    """One line of an access log: `target` is what was asked for, path and query; empty texts are not known."""

    method: str
    target: str
    status: str
    host: str = ""
    referer: str = ""
    agent: str | None = None


class Visit(NamedTuple):
    """Who visited which page; `id` is what the page gave the visit, or empty."""

    prospect: str
    url: str
    id: str

    def told(self, at: datetime, other_id: str | None, line: int | None = None, *, source: str = "") -> Event:
        """Return the event of a visit at a time, with its own id or another one, marked with its source."""
        own = f"visit/{self.id}" if self.id else other_id
        return Event(
            type="page_visited",
            at=at,
            record_type="prospect",
            name=self.prospect,
            id=f"{source}:{own}" if source else own,
            line=line,
            url=self.url,
        )


def may_be_visit(target: str, terms: Terms) -> bool:
    """Tell, at a glance, whether a target may name a prospect: most do not."""
    return "?" in target and f"{terms.prospect_param}=" in target


def visit(request: Request, terms: Terms) -> Visit | None:
    """Return the visit that a request is, or None; raises `LineError` for a name that no prospect can have."""
    if request.method != "GET" or request.status not in ANSWERED or not may_be_visit(request.target, terms):
        return None
    path, _, query = request.target.partition("?")
    said = _parameters(query)
    name = said.get(terms.prospect_param, "").strip()
    if not name or is_machine(request.agent):
        return None
    url = said.get(PAGE) or (request.referer if path.endswith(_PICTURES) else _page(request))
    if not url or url == "-":
        return None
    for text in (name, url, said.get(EVENT_ID, "")):
        if "\0" in text or not is_encodable(text):
            raise LineError("a request with characters that are no text")
    return Visit(name, unwrapped(url), said.get(EVENT_ID, ""))


def _page(request: Request) -> str:
    """Return the address that was asked for: whole, where it is known of which host."""
    is_whole = "://" in request.target.partition("?")[0]
    return request.target if is_whole or not request.host else f"https://{request.host}{request.target}"


def _parameters(query: str) -> dict[str, str]:
    """Return the parameters of a query, the first of each name; bytes that are no UTF-8 become marks."""
    if query.count("&") >= _MOST_PARAMETERS:
        return {}
    return dict(reversed(parse_qsl(query.replace("+", "%20"), keep_blank_values=True, errors="replace")))


def decoded(text: str) -> str:
    """Return a text that a log wrote with percent signs, once or twice over."""
    return unquote(unquote(text, errors="replace"), errors="replace")
