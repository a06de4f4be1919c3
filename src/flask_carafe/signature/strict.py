"""JSON read the slow and complete way: nothing is guessed, rounded or dropped, and the message says where it went wrong.

Refused as :exc:`BadRequest`: what is no JSON, NaN and Infinity, numbers beyond a double, duplicate keys, lone
surrogates, more than 32 levels, text that is not UTF-8. The body is never quoted.

Some protocols write a missing number as the bare word NaN; :func:`parse` takes it for null where it is told to.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

from ..errors import BadRequest

DEEPEST = 32
MOST_DIGITS = 400
BOM = b"\xef\xbb\xbf"
# Possessive throughout, so that no body makes them slow; a string that is not closed counts as one to the end.
STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
CONSTANT = re.compile(STRING.pattern + rb"|(-?(?:NaN|Infinity))", re.DOTALL)
NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
MOST_SEARCHED = 1 << 20  # bytes in which the place of a NaN is looked for
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(body: bytes, nan: bool = False) -> Any:
    """The value of a JSON body: dict, list, str, int (exact), float, bool or None.

    :param nan: read the bare word NaN as None.
    :raises BadRequest: see above; the position is in the message.
    """
    body = body.removeprefix(BOM)
    text = _decode(body)
    try:
        value = (NAN_DECODER if nan else DECODER).decode(text)
    except json.JSONDecodeError as exc:
        raise _broken(exc, text) from None
    except RecursionError:
        raise BadRequest(f"The body is nested deeper than {DEEPEST} levels.") from None
    except _Constant:
        raise _constant(body, nan) from None
    if body.count(b"[") + body.count(b"{") > DEEPEST:
        _check_depth(body)
    if SURROGATE.search(body):
        _check_surrogates(value)
    return value


def _decode(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as exc:
        raise BadRequest(f"The body is not UTF-8: byte {exc.start} cannot be read.") from None


def _check_depth(body: bytes) -> None:
    """For a body that is JSON: peel off the innermost brackets, layer by layer, all of a layer at once."""
    brackets = STRING.sub(b"", body).translate(None, NOT_BRACKETS)
    for _ in range(DEEPEST):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if brackets:
        raise BadRequest(f"The body is nested deeper than {DEEPEST} levels.")


def _broken(exc: json.JSONDecodeError, text: str) -> BadRequest:
    if not text.strip():
        return BadRequest("The body is empty.")
    reason = exc.msg[:1].lower() + exc.msg[1:]
    return BadRequest(f"The body is not JSON: {reason} at line {exc.lineno}, column {exc.colno}.")


def _constant(body: bytes, nan: bool) -> BadRequest:
    found = (match for match in CONSTANT.finditer(body[:MOST_SEARCHED]) if match[1] and not (nan and match[1] == b"NaN"))
    match = next(found, None)
    where = f" (at byte {match.start()})" if match else ""
    if nan:
        return BadRequest(f"The body holds Infinity{where}, which is no value; send NaN or null for a missing one.")
    return BadRequest(f"The body holds NaN or Infinity, which JSON does not know{where}; send null for a missing value.")


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=True).encode()
    except UnicodeEncodeError:
        raise BadRequest("The body holds a lone surrogate (\\ud800 to \\udfff), which is not text.") from None


class _Constant(Exception):
    """NaN, Infinity or -Infinity was met."""


def _refuse_constant(word: str) -> NoReturn:
    raise _Constant(word)


def _missing_if_nan(word: str) -> None:
    if word != "NaN":
        raise _Constant(word)


def _read_int(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise BadRequest(f"The body holds a number of {len(digits):,} digits.")
    return int(digits)


def _read_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise BadRequest("The body holds a number beyond what a double can hold (about 1.8e308).")
    return number


def _read_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise BadRequest(f"The key {twice[:60]!a} stands twice in one object.")
    return found


def _decoder(parse_constant: Callable[[str], Any]) -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=_read_pairs, parse_int=_read_int, parse_float=_read_float, parse_constant=parse_constant)


DECODER = _decoder(_refuse_constant)
NAN_DECODER = _decoder(_missing_if_nan)
