"""The words of a workflow file and what each may be given: the one table behind both the reader and the JSON Schema."""

from crmflow.core.model import NAME_PATTERN, RECORD_TYPES
from crmflow.core.triggers import COUNT_SUSPECT, TRIGGERS
from crmflow.definitions.nodes import Listing, Mapping, Report
from crmflow.definitions.shapes import (
    AnyScalar,
    Duration,
    JsonSchema,
    Key,
    Keyed,
    Listed,
    OneOrMany,
    Shape,
    Share,
    Text,
    Word,
)

_NAME_WANTED = "1 to 64 of A-Z a-z 0-9 _ -"
_VISIBLE = r"[^\s\u0000-\u0020\u007f-\u00a0\ufeff]"
"""A character that is neither white nor a control, the same to Python's regular expressions and to ECMA's."""

_ENDINGS = {
    "link_clicked": "it clicks any link in any email of this workflow",
    "replied": "it replies to any email of any workflow",
    "conversation_started": "it sends a new email in a new thread",
    "page_visited": "it visits a page whose address matches `url`",
    "hard_bounced": "an email to it hard-bounces",
    "unsubscribed": "it unsubscribes from emails",
    "spam_reported": "it reports an email as spam",
    "meeting_booked": "it books a meeting",
    "deal_won": "the deal is won",
    "deal_lost": "the deal is lost",
    "field_updated": "the named field (or any) is set or updated (to one of `to`, if given)",
}


class _KeysOfTrigger:
    """A trigger takes the keys that narrow it, and no other."""

    def check(self, mapping: Mapping, report: Report) -> None:
        word = mapping.word("trigger")
        if word not in TRIGGERS:
            return
        kind = TRIGGERS[word]
        for key in kind.required:
            if key not in mapping.entries:
                report.add(mapping.place, f"{word} needs the key {key}", f"write {key}: {_EXAMPLES[key]}")
        for key in _NARROWING:
            if key in mapping.entries and key not in kind.required + kind.optional:
                report.add(mapping.entries[key][0], f"{word} takes no key {key}", f"only {_takers(key)} does")

    def schemas(self) -> list[JsonSchema]:
        return [
            {
                "if": _given("trigger", word),
                "then": {
                    "required": list(kind.required),
                    "properties": dict.fromkeys(sorted(_NARROWING.keys() - {*kind.required, *kind.optional}), False),
                },
            }
            for word, kind in TRIGGERS.items()
        ]


class _TriggersOfType:
    """A workflow's type has the triggers of SPEC's table, and no other."""

    def check(self, mapping: Mapping, report: Report) -> None:
        record_type = mapping.word("type")
        triggers = mapping.get("disenrollment_triggers")
        if record_type not in RECORD_TYPES or not isinstance(triggers, Listing):
            return
        known = _triggers_of(record_type)
        for each in triggers.items:
            word = each.word("trigger") if isinstance(each, Mapping) else None
            if isinstance(each, Mapping) and word in TRIGGERS and word not in known:
                place = each.entries["trigger"][1].place
                report.add(place, f"{record_type} workflows have no trigger '{word}'", f"they have {', '.join(known)}")

    def schemas(self) -> list[JsonSchema]:
        return [{"if": _given("type", each), "then": _only_triggers(_triggers_of(each))} for each in RECORD_TYPES]


def _triggers_of(record_type: str) -> list[str]:
    return [word for word, kind in TRIGGERS.items() if record_type in kind.types]


def _takers(key: str) -> str:
    return ", ".join(word for word, kind in TRIGGERS.items() if key in kind.required + kind.optional)


def _given(key: str, word: str) -> JsonSchema:
    return {"properties": {key: {"const": word}}, "required": [key]}


def _only_triggers(words: list[str]) -> JsonSchema:
    trigger = {"properties": {"trigger": {"enum": words}}}
    return {"properties": {"disenrollment_triggers": {"items": trigger}}}


def _trigger_about() -> str:
    lines = [f"- {word} ({', '.join(kind.types)}): {_ENDINGS[word]}" for word, kind in TRIGGERS.items()]
    return "\n".join(["A record leaves the workflow when, for", *lines])


_EXAMPLES = {"url": "https://www.acme.example/pricing*"}
_URL = Text(
    noun="a url pattern",
    about="An address in which * stands for any characters; without a scheme it matches http and https.",
    wanted=f"an address without spaces, such as {_EXAMPLES['url']}",
    pattern=f"^{_VISIBLE}+$",
)
_TO_WANTED = "write a value; for the empty one write [null], for any leave the key out"
_NARROWING: dict[str, Shape] = {
    "url": OneOrMany(noun="url", about="The pages that count: one pattern or a list.", alone=_URL, item=_URL),
    "field": Text(
        noun="field",
        about="The field whose update counts; left out: any field.",
        wanted="name a field, or leave the key out for any",
        pattern=r"^[\s\S]+$",
    ),
    "to": OneOrMany(
        noun="to",
        about="The new values that count: one or a list; left out: any value.",
        alone=AnyScalar(noun="to", about="The value that counts.", takes_null=False, wanted=_TO_WANTED),
        item=AnyScalar(
            noun="a value of to", about="A value that counts.", takes_null=True, wanted="write a single value"
        ),
    ),
    "suspect": Word(
        noun="suspect",
        about="Whether clicks count that were likely made by a machine; left out: they do not.",
        words=(COUNT_SUSPECT,),
    ),
}

_TRIGGER = Keyed(
    noun="a trigger",
    about="Something that ends an enrollment.",
    keys={
        "trigger": Key(Word(noun="trigger", about=_trigger_about(), words=tuple(TRIGGERS)), is_required=True),
        **{key: Key(shape) for key, shape in _NARROWING.items()},
    },
    rules=(_KeysOfTrigger(),),
    line_key="line",
)

_STEP = Keyed(
    noun="a step",
    about="One step of the workflow.",
    keys={
        "name": Key(
            Text(
                noun="a step's name",
                about="What the step is called; no two steps of a workflow share a name.",
                wanted="words on one line, with single spaces between them",
                pattern=f"^{_VISIBLE}+( {_VISIBLE}+)*$",
            ),
            is_required=True,
        ),
        "kind": Key(Word(noun="kind", about="What is to be done.", words=("email", "task", "wait")), is_required=True),
        "after": Key(
            Duration(
                noun="after",
                about="When it is due, since the step before; the first one, since the enrollment: 90s 15m 4h 3d 2w.",
            ),
            is_required=True,
        ),
    },
)

WORKFLOW = Keyed(
    noun="a workflow",
    about="A crmflow workflow: ordered steps, and the triggers that end an enrollment before its last step.",
    keys={
        "workflow": Key(
            Text(
                noun="a workflow's name",
                about="What the workflow is called: what mail providers' tags can carry.",
                wanted=_NAME_WANTED,
                pattern=NAME_PATTERN,
            ),
            is_required=True,
        ),
        "type": Key(
            Word(noun="type", about="The type of record that it is for.", words=RECORD_TYPES), is_required=True
        ),
        "description": Key(Text(noun="description", about="What the workflow does, for people.")),
        "steps": Key(
            Listed(
                noun="steps",
                about="The steps in their order; without steps nothing ever completes.",
                item=_STEP,
                distinct="name",
            )
        ),
        "disenrollment_triggers": Key(
            Listed(noun="disenrollment_triggers", about="What ends an enrollment; each of them alone.", item=_TRIGGER)
        ),
        "max_exits_per_run": Key(
            Share(
                noun="max_exits_per_run",
                about="The most enrollments that a run may end without being approved: a number, or a percentage of the"
                " active ones (10%).",
            )
        ),
    },
    rules=(_TriggersOfType(),),
)
"""What a whole file may be."""
