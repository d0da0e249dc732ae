"""What is kept of one breaker, as text: other versions of the library read and write it too."""

from __future__ import annotations

import json

from breaker_asgi._core.state import OPEN
from breaker_asgi.stores.record import Record, decode
from breaker_asgi.testing.stores import opening


def test_what_another_version_has_written_besides_is_left_out() -> None:
    record = Record()
    record.change(opening(), 1)
    text = json.dumps({**json.loads(decode(record.dump())), "of_tomorrow": [1]})
    assert Record.load(text) == record


def test_what_another_version_has_not_written_is_as_in_a_new_record() -> None:
    assert Record.load('{"generation":3,"state":"open"}') == Record(generation=3, state=OPEN.value)
