"""HTML that can't be broken by what stands in it: text becomes markup in one place, where it is escaped."""

from html import escape

from crmflow.cli.render import visible

_VOID = frozenset({"meta"})
"""The elements used here that have no end."""


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str | None) -> Html:
    """Return an element; children that are no `Html` are text, and attributes that are None are left out.

    An underscore in an attribute's name is a hyphen, one at its end is dropped (`class_`, `aria_label`).
    """
    given = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items() if value is not None}
    opening = "".join((tag, *(f' {name}="{escape(visible(value))}"' for name, value in given.items())))
    if tag in _VOID:
        return Html(f"<{opening}>")
    return Html(f"<{opening}>{''.join(map(_content, children))}</{tag}>")


def text(words: str) -> Html:
    """Return words as markup: nothing in them is a tag, and what does not print is shown as its escape."""
    return Html(escape(visible(words)))


def _content(child: str) -> Html:
    return child if isinstance(child, Html) else text(child)
