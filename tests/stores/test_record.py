"""The serialised record of a breaker, which other versions of the library read and write too."""

from __future__ import annotations

import json

from breaker_asgi._core.state import OPEN
from breaker_asgi.stores.record import Record, decode
from breaker_asgi.testing.stores import opening


def test_unknown_fields_of_another_version_are_dropped() -> None:
    record = Record()
    record.change(opening(), 1)
    text = json.dumps({**json.loads(decode(record.dump())), "of_tomorrow": [1]})
    assert Record.load(text) == record


def test_missing_fields_have_the_defaults_of_a_new_record() -> None:
    assert Record.load('{"generation":3,"state":"open"}') == Record(generation=3, state=OPEN.value)
