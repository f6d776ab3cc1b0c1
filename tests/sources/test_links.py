"""Links that mail gateways rewrote are what they were before."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmflow.sources.links import unwrapped

PAGE = "https://www.acme.example/pricing?plan=team"
TWICE = f"https://linkprotect.cudasvc.com/url?a={quote(PAGE)}"


@pytest.mark.parametrize(
    "link",
    [
        PAGE,
        "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fwww.acme.example%2Fpricing%3Fplan%3Dteam&data=x",
        "https://urldefense.proofpoint.com/v2/url?u=https-3A__www.acme.example_pricing-3Fplan-3Dteam&d=DwMF&c=x",
        "https://urldefense.com/v3/__https://www.acme.example/pricing?plan=team__;!!x!y$",
        "https://linkprotect.cudasvc.com/url?a=https%3a%2f%2fwww.acme.example%2fpricing%3fplan%3dteam&c=E",
        "https://secure-web.cisco.com/1abc/https%3A%2F%2Fwww.acme.example%2Fpricing%3Fplan%3Dteam",
        f"https://eur01.safelinks.protection.outlook.com/?url={quote(TWICE)}",
    ],
)
def test_a_rewritten_link_leads_to_its_page(link: str) -> None:
    """However each gateway hides it, and if two of them do."""
    assert unwrapped(link) == PAGE


@pytest.mark.parametrize(
    "link",
    [
        "https://safelinks.protection.outlook.com.acme.example/?url=https%3A%2F%2Fa.example",
        "https://eur01.safelinks.protection.outlook.com/?data=x",
        "https://urldefense.com/v3/nothing",
        "https://[broken",
        "/pricing",
    ],
)
def test_any_other_link_stays_as_it_is(link: str) -> None:
    """A host that only looks like a gateway's, a link without one in it, and what is no address."""
    assert unwrapped(link) == link


@given(st.text())
def test_no_text_is_a_fault(link: str) -> None:
    """Whatever stands in a log."""
    unwrapped(f"https://urldefense.com/{link}")
    assert isinstance(unwrapped(link), str)
