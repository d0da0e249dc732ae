"""Signatures of the caller's functions, whatever their annotations name.

From Python 3.14 on, annotations are evaluated when they are read. They may then name what only type
checkers import, which is no reason to refuse a function.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

if sys.version_info >= (3, 14):
    from annotationlib import Format, get_annotations


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return a function's signature."""
    if sys.version_info >= (3, 14):
        return inspect.signature(function, annotation_format=Format.FORWARDREF)
    return inspect.signature(function)


def annotated_result(function: Any) -> Any:
    """Return a function's annotation of its result: a string where it is not evaluated."""
    if sys.version_info >= (3, 14):
        annotation = get_annotations(function, format=Format.FORWARDREF).get("return", "")
        return getattr(annotation, "__forward_arg__", annotation)
    return function.__annotations__.get("return", "")
