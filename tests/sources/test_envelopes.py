"""What events are wrapped in on their way."""

import json
from typing import Any

import pytest

from crmflow.sources.envelopes import unwrap
from crmflow.sources.objects import LineError

BODY = {"event": "click", "items": "three", "detail": "none", "Type": "x"}
TOPIC = {"TopicArn": "arn:aws:sns:eu-west-1:123456789012:mail"}
NOTIFICATION = {**TOPIC, "Type": "Notification", "Message": json.dumps(BODY)}


def test_what_is_no_envelope_is_a_body() -> None:
    """Keys that envelopes have, too, do not make it one."""
    bodies: list[Any] = [BODY, {}, {"items": [BODY], "event": "x"}, {"Records": {}}, {"body": "x"}, {**TOPIC}]
    for body in bodies:
        assert list(unwrap(body)) == [body]


@pytest.mark.parametrize(
    "wrapped",
    [
        [BODY],
        [[BODY]],
        {"items": [BODY]},
        {"items": [BODY], "paging": {}},
        {"TotalCount": 1, "Bounces": [BODY]},
        {"detail-type": "x", "source": "aws.ses", "detail": BODY},
        NOTIFICATION,
        {"Records": [{"Sns": {"Message": json.dumps(BODY)}}]},
        {"Records": [{"messageId": "1", "body": json.dumps([BODY])}]},
        {
            "Messages": [
                {"MessageId": "1", "Body": json.dumps({**TOPIC, "Type": "Notification", "Message": json.dumps(BODY)})}
            ]
        },
    ],
)
def test_an_envelope_is_taken_off(wrapped: Any) -> None:  # noqa: ANN401 - any JSON
    """However many of them there are."""
    assert list(unwrap(wrapped)) == [BODY]


@pytest.mark.parametrize(
    "wrapped",
    [
        [],
        {"items": []},
        {
            **TOPIC,
            "Type": "SubscriptionConfirmation",
            "Message": json.dumps(BODY),
            "SubscribeURL": "https://sns.example/",
        },
        {**TOPIC, "Type": "UnsubscribeConfirmation", "Message": "bye"},
        {**TOPIC, "Type": "Notification", "Message": "Successfully validated SNS topic"},
        {**TOPIC, "Type": "Notification", "Message": None},
    ],
)
def test_words_for_people_hold_no_body(wrapped: Any) -> None:  # noqa: ANN401 - any JSON
    """Nor do lists of nothing."""
    assert list(unwrap(wrapped)) == []


@pytest.mark.parametrize(
    ("wrapped", "reason"),
    [
        (5, "expected a JSON object"),
        ([BODY, "x"], "expected a JSON object"),
        ({**TOPIC, "Type": "Notification", "Message": '{"a": 1'}, "not JSON"),
        ({**TOPIC, "Type": "Notification", "Message": '{"a": 1, "a": 2}'}, "duplicate key"),
        ({**TOPIC, "Type": "Notification", "Message": '{"a": "\ud800"}'}, "invalid UTF-8"),
        ([[[[[[[[[[BODY]]]]]]]]]], "wrapped more than"),
    ],
)
def test_what_can_not_be_taken_off_is_refused(wrapped: Any, reason: str) -> None:  # noqa: ANN401 - any JSON
    """With the reason."""
    with pytest.raises(LineError, match=reason):
        list(unwrap(wrapped))
