"""Telling visits of pages: the snippet for a site."""

from typing import Annotated

import typer

from crmflow.cli.logs import ProspectParamOption
from crmflow.cli.session import Session, given, group, reads

app = group("tracking", "Tracking: how pages tell who visits them.")

PixelOption = Annotated[
    str,
    typer.Option(
        "--pixel", metavar="URL", parser=given, help="A small picture on your site, of which requests are logged."
    ),
]


@reads(app, "code", example="crmflow tracking code --pixel https://www.acme.example/p.gif > snippet.html")
def code(session: Session, *, pixel: PixelOption, prospect_param: ProspectParamOption = "p") -> int | None:
    """Print the snippet for the pages of a site.

    It learns the prospect's key from the link of a mail (?p=KEY), keeps it, and asks for the picture on every page.
    ingest reads the access log.
    """
    from crmflow.operations.tracking import snippet

    text = snippet(pixel, prospect_param)
    session.output.data({"snippet": text}, text.splitlines())
    return None
