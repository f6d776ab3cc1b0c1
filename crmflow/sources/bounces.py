"""Whether a bounce says that an address is dead, by its enhanced status and what the mail server wrote.

A status that begins with 5 is not enough: of real bounces that carry one only a third are of dead addresses. Few
statuses are, and some words. What speaks of a full mailbox, of policy or of another try never is.
https://www.rfc-editor.org/rfc/rfc3463
"""

import re

DEAD_STATUSES = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
"""No such mailbox, domain, or syntax of either; moved and no forwarding; mailbox disabled."""

_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])", re.ASCII)
_DEAD = re.compile(
    r"user unknown|unknown user|unknown (?:recipient|account|address)"
    r"|no such (?:user|recipient|mailbox|account|address)|(?:does not|doesn't|do not|don't) exist|no mailbox here"
    r"|mailbox (?:not found|is disabled|disabled)|invalid (?:recipient|mailbox|address)"
    r"|recipient (?:not found|unknown)|address (?:unknown|not found)"
    r"|account (?:has been |is )?(?:disabled|suspended|deactivated|closed|inactive)"
    r"|unrouteable (?:mail )?(?:address|domain)|(?:host|domain)(?: or domain)?(?: name)? not found"
    r"|no longer (?:exists|valid|works here|employed|with)|couldn't find any host|not a known user",
    re.IGNORECASE,
)
_ALIVE = re.compile(
    r"quota|mailbox (?:is )?full|over its|try again|temporar|spam|blocked|block ?list|blacklist|greylist|policy"
    r"|too (?:many|large|big)|rate limit|reputation|dmarc|spf\b|dkim|virus|out of (?:the )?office|access denied|relay",
    re.IGNORECASE,
)


def is_dead(status: str, text: str) -> bool:
    """Tell whether an address is dead by the status that a report gives (empty: none) and the words beside it."""
    found = _STATUS.search(status) or _STATUS.search(text)
    code = found[1] if found else ""
    if code.startswith(("4", "2")) or _ALIVE.search(text):
        return False
    return code in DEAD_STATUSES or _DEAD.search(text) is not None
