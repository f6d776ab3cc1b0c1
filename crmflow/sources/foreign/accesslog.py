"""Access logs as JSON, one request a line: nginx with the usual names, Caddy, Traefik.

nginx may write bytes as a hexadecimal escape that JSON does not know (a backslash, x, two digits).
https://nginx.org/en/docs/http/ngx_http_log_module.html https://caddyserver.com/docs/caddyfile/directives/log
https://doc.traefik.io/traefik/observability/access-logs/
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from crmflow.sources.bodies import JsonSource, Told
from crmflow.sources.moments import epoch, iso
from crmflow.sources.objects import Body, Element, LineError, object_of, read_elements, read_name, text_of
from crmflow.sources.terms import Terms
from crmflow.sources.visits import Request, visit

_METHODS = ("request_method", "method", "RequestMethod")
_TARGETS = ("request_uri", "uri", "RequestPath")
_STATUSES = ("status", "DownstreamStatus")
_HOSTS = ("host", "http_host", "server_name", "RequestHost")
_REFERERS = ("http_referer", "referer", "referrer", "request_Referer")
_AGENTS = ("http_user_agent", "user_agent", "request_User-Agent")
_TIMES = ("time_iso8601", "@timestamp", "StartUTC", "time", "timestamp", "ts", "msec")
"""Under which names they tell what we ask for; the first that is there counts."""

_PARTS = 3
_NO_JSON = re.compile(r"\\x([0-9A-Fa-f]{2})")


def knows(body: Body) -> bool:
    """Tell whether a body is a request that was answered."""
    if not any(name in body for name in _STATUSES):
        return False
    return any(name in body for name in _TARGETS) or isinstance(body.get("request"), str | dict)


def tell(body: Body, terms: Terms) -> Iterator[Told]:
    """Yield the visit that a request is."""
    visited = visit(_request(body), terms)
    if visited is not None:
        yield visited.told(_time(body, terms), None)


def _request(body: Body) -> Request:
    said, headers = body, {}
    if isinstance(body.get("request"), dict):  # Caddy's
        said = object_of(body, "request")
        headers = {name: _first_of(value) for name, value in object_of(said, "headers").items()}
    method, target = _of(said, _METHODS), _of(said, _TARGETS)
    if isinstance(body.get("request"), str):
        parts = (text_of(body, "request") or "").split(" ")
        method, target = (parts[0], parts[1]) if len(parts) == _PARTS else (method, target)
    agent = _of(body, _AGENTS) if any(name in body for name in _AGENTS) else headers.get("User-Agent")
    referer = _of(body, _REFERERS) or headers.get("Referer", "")
    return Request(method, target, _of(body, _STATUSES), _of(said, _HOSTS), referer, agent)


def _of(said: Mapping[str, object], names: tuple[str, ...]) -> str:
    return next((read_name(name, said[name]) for name in names if said.get(name) is not None), "")


def _first_of(value: object) -> str:
    found = value[0] if isinstance(value, list) and value else value
    return found if isinstance(found, str) else ""


def _time(body: Body, terms: Terms) -> datetime:
    found = next((body[name] for name in _TIMES if body.get(name) is not None), None)
    return iso(found, terms.zone) if isinstance(found, str) and not _is_number(found) else epoch(found)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def read(text: str) -> list[Element]:
    """Return the JSON values that a line holds, whatever nginx wrote for bytes; raises `LineError`."""
    try:
        return read_elements(text)
    except LineError:
        if not _NO_JSON.search(text):
            raise
    values = read_elements(_NO_JSON.sub(r"\\u00\1", text))
    return [Element(0, len(text), each.value) for each in values]


SOURCE = JsonSource(knows, tell, read=read)
