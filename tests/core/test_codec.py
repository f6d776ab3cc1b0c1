"""A workflow and its one line of JSON."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmflow.core.codec import decode, encode
from crmflow.core.model import RECORD_TYPES, Step, Trigger, Workflow

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | texts
finite = scalars.filter(lambda value: value not in (float("inf"), float("-inf")))
steps = st.builds(
    Step,
    name=texts,
    kind=st.sampled_from(("email", "task", "wait")),
    after=st.integers(0, 3_153_600_000).map(lambda seconds: timedelta(seconds=seconds)),
)
triggers = st.builds(
    Trigger,
    trigger=texts,
    url=st.lists(texts).map(tuple),
    field=st.none() | texts,
    to=st.none() | st.lists(finite).map(tuple),
    line=st.integers(0, 2**31),
)
workflows = st.builds(
    Workflow,
    workflow=texts,
    type=st.sampled_from(RECORD_TYPES),
    description=texts,
    steps=st.lists(steps).map(tuple),
    disenrollment_triggers=st.lists(triggers).map(tuple),
)


@given(workflows)
def test_what_is_encoded_decodes_to_the_same(workflow: Workflow) -> None:
    """Every workflow survives the way to text and back, lines included, and gives the same text again."""
    text = encode(workflow)
    assert decode(text) == workflow
    assert encode(decode(text)) == text


def test_encodes_to_one_readable_line() -> None:
    """The text is JSON with SPEC's words, so that other tools can read what the store keeps."""
    workflow = Workflow(
        workflow="w",
        type="deal",
        steps=(Step("call", "task", timedelta(days=3)),),
        disenrollment_triggers=(Trigger("field_updated", field="status", to=("lost", 5, True, None), line=9),),
    )
    assert encode(workflow) == (
        '{"workflow":"w","type":"deal","description":"","steps":[{"name":"call","kind":"task","after":"P3D"}],'
        '"disenrollment_triggers":[{"trigger":"field_updated","field":"status","to":["lost",5,true,null],"line":9}]}'
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"workflow":"w","type":"car"}'])
def test_another_text_is_an_error(text: str) -> None:
    """A text that `encode` did not write is refused, not guessed at."""
    with pytest.raises(msgspec.DecodeError):
        decode(text)
