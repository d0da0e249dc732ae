"""Signatures of the caller's functions, whatever their annotations name.

From Python 3.14 on, annotations are evaluated when they are read. They may then name what only type
checkers import, which is no reason to refuse a function.
"""

from __future__ import annotations

import inspect
import sys
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

if sys.version_info >= (3, 14):
    from annotationlib import Format, get_annotations

    _OPTIONS: dict[str, Any] = {"annotation_format": Format.FORWARDREF}
    _annotations_of = partial(get_annotations, format=Format.FORWARDREF)
else:
    _OPTIONS: dict[str, Any] = {}
    _annotations_of = attrgetter("__annotations__")


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return a function's signature."""
    return inspect.signature(function, **_OPTIONS)


def annotated_result(function: Any) -> Any:
    """Return a function's annotation of its result: a string where it is not evaluated."""
    annotation = _annotations_of(function).get("return")
    return getattr(annotation, "__forward_arg__", annotation)
