"""Blocks that a breaker guards by `with breaker:`. Each is left by the permit that entered it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi._core.permit import Permit, is_entered

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from breaker_asgi._core.engine import Engine

_blocks: dict[tuple[int, FrameType], list[Permit]] = {}
"""The permits of open blocks, by breaker and by the frame that entered them.

The context is not enough: a generator may be left in another one than it was entered in.
"""

_OF_A_SUBCLASS = {"__enter__", "__exit__", "__aenter__", "__aexit__"}


def enter_block(permit: Permit, frame: FrameType) -> Permit:
    """Begin a block in `frame`."""
    if frame.f_code.co_name in _OF_A_SUBCLASS:
        frame = _outside(permit.breaker, frame)
    _blocks.setdefault((id(permit.breaker), frame), []).append(permit)
    return permit.__enter__()


def leave_block(breaker: Engine, frame: FrameType) -> Permit:
    """Return the permit of the block that `frame` leaves."""
    if frame.f_code.co_name in _OF_A_SUBCLASS:
        frame = _outside(breaker, frame)
    key = id(breaker), frame
    if key not in _blocks:
        key = _entered_elsewhere(breaker, frame)
    permits = _blocks[key]
    permit = permits.pop()
    if not permits:
        del _blocks[key]
    return permit


def _outside(breaker: Engine, frame: FrameType) -> FrameType:
    """Return the first frame that is not in a method of the breaker, as a subclass may have."""
    while frame.f_code.co_name in _OF_A_SUBCLASS and _owner(frame) is breaker and frame.f_back:
        frame = frame.f_back
    return frame


def _entered_elsewhere(breaker: Engine, frame: FrameType) -> tuple[int, FrameType]:
    """Return the key of a block that another frame has entered than the one that leaves it.

    An `ExitStack` does so, and an object with an `__enter__` of its own: both frames are methods of
    one object. Of several such blocks the one counts whose context is the running one.
    """
    keys = [key for key in reversed(list(_blocks)) if key[0] == id(breaker)]
    owner = _owner(frame)

    def is_of_owner(key: tuple[int, FrameType]) -> bool:
        return owner is not None and _owner(key[1]) is owner

    def is_of_context(key: tuple[int, FrameType]) -> bool:
        return is_entered(_blocks[key][-1])

    tests: tuple[Callable[[tuple[int, FrameType]], bool], ...] = (is_of_owner, is_of_context)
    for test in tests:
        keys = [key for key in keys if test(key)] or keys
    return keys[0]


def _owner(frame: FrameType) -> object:
    """Return the object whose method runs in `frame`: its first argument; None without one."""
    code = frame.f_code
    return frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
