"""The snippet that makes pages tell who visits them: they ask for a picture, and the request is logged.

The prospect's key comes with the link of a mail, as a parameter of the page's address. It is kept in the browser, for
this site alone; nobody is asked who came without such a link, or wants not to be tracked.
"""

import json
from urllib.parse import urlsplit

from crmflow.core.errors import UsageError

_SNIPPET = """\
<script>
(function () {
  var pixel = PIXEL, name = NAME, kept = "crmflow-" + name;
  if (navigator.doNotTrack === "1" || navigator.globalPrivacyControl) { return; }
  var page = new URL(location.href), who = page.searchParams.get(name);
  try {
    if (who) { localStorage.setItem(kept, who); } else { who = localStorage.getItem(kept); }
  } catch (denied) { /* the key of this visit will do */ }
  if (!who) { return; }
  page.searchParams.delete(name);
  page.hash = "";
  var id = Date.now().toString(36) + Math.random().toString(36).slice(2);
  var asked = new URL(pixel, location.href);
  asked.searchParams.set(name, who);
  asked.searchParams.set("u", page.href);
  asked.searchParams.set("e", id);
  new Image().src = asked.href;
})();
</script>
"""


def snippet(pixel: str, prospect_param: str) -> str:
    """Return the snippet for a site whose server logs requests of `pixel`, the address of a small picture.

    Raises `UsageError` for what is no address of a picture, and for a name that is one of the other parameters.
    """
    split = urlsplit(pixel)
    if split.scheme not in {"", "http", "https"} or not split.path.endswith((".gif", ".png")):
        raise UsageError(f"{pixel} is no address of a picture", hint="for example https://www.acme.example/p.gif")
    if prospect_param in {"u", "e"}:
        raise UsageError(f"{prospect_param} is the name of another parameter of the picture", hint="choose another one")
    return _SNIPPET.replace("PIXEL", _quoted(pixel)).replace("NAME", _quoted(prospect_param))


def _quoted(text: str) -> str:
    """Return a text as JavaScript inside HTML: nothing in it can end the text, or the script."""
    quoted = json.dumps(text)
    for character in "<>&'\u2028\u2029":
        quoted = quoted.replace(character, f"\\u{ord(character):04x}")
    return quoted
