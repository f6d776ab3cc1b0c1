"""Which clicks were likely made by a machine, by what the event itself says of who clicked.

Programs that name themselves are known by their user agent. Those that pass for a browser are not known by it.
"""

from functools import lru_cache

from crmflow.sources.objects import Body, read_name

_PREFETCHING = frozenset({"HEAD", "OPTIONS"})
_SCANNERS = (
    "barracuda",
    "mimecast",
    "proofpoint",
    "symantec",
    "microsoft office existence discovery",
    "microsoft-cryptoapi",
    "ms-office",
    "okhttp",
    "apache-httpclient",
    "go-http-client",
    "python-requests",
)
"""What mail gateways and programs that open links call themselves, besides what the library knows."""


def user_agent(body: Body, key: str) -> str | None:
    """Return the user agent under a key, None where nobody noted one; raises `LineError` for what is no text."""
    value = body.get(key)
    return None if value is None else read_name(key, value)


def is_machine(agent: str | None, method: str | None = None) -> bool:
    """Tell whether a request was likely made by a machine; a user agent that nobody noted (None) tells nothing."""
    return (method or "").upper() in _PREFETCHING or (agent is not None and _is_robot(agent))


@lru_cache(maxsize=10_000)
def _is_robot(agent: str) -> bool:
    if agent.strip() in {"", "-"}:
        return True
    import crawleruseragents  # a thousand patterns, which plain logs of ours never need

    folded = agent.casefold()
    return any(each in folded for each in _SCANNERS) or bool(crawleruseragents.is_crawler(agent))
