"""Which clicks were likely made by a machine, by what the event itself says of who clicked.

Programs that name themselves are known by their user agent. Those that pass for a browser are not known by it.
"""

from functools import lru_cache

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


def is_machine(user_agent: str | None, method: str | None = None) -> bool:
    """Tell whether a request was likely made by a machine; a user agent that nobody noted (None) tells nothing."""
    return (method or "").upper() in _PREFETCHING or (user_agent is not None and _is_robot(user_agent))


@lru_cache(maxsize=10_000)
def _is_robot(user_agent: str) -> bool:
    if user_agent.strip() in {"", "-"}:
        return True
    import crawleruseragents  # a thousand patterns, which plain logs of ours never need

    folded = user_agent.casefold()
    return any(each in folded for each in _SCANNERS) or bool(crawleruseragents.is_crawler(user_agent))
