# SPDX-License-Identifier: BSD-3-Clause
"""JSON and text that somebody else wrote: a guest, QEMU, a journal or description in a folder.

What is not as expected ends in Untrusted, here and once; behind it are finite numbers of at most 64
bits, text that can be written as UTF-8, and nothing that is nested without end.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, Callable, Iterator, Mapping, NoReturn, Sequence, TypeVar

from khorig.mem.errors import Error

DEEPEST = 64  # objects and lists inside of each other
_LOWEST, _HIGHEST = -(1 << 63), (1 << 64) - 1
_SHOWN = 40  # characters of a value in a message

_Kind = TypeVar("_Kind")


class Untrusted(Error, ValueError):
    """It is not what it has to be; the message names field, value and what was expected."""


def printable(text: str) -> str:
    """The text with "?" for what would steer a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def read_json(data: str | bytes, largest: int) -> Any:
    """The value of a JSON text of at most `largest` bytes or characters. Raises Untrusted for what
    is not JSON (NaN and Infinity are not) and for a name that an object has twice, a number beyond
    64 bits, half a surrogate pair, and more than DEEPEST levels."""
    if len(data) > largest:
        raise Untrusted(f"more than {largest} bytes")
    try:
        value = json.loads(
            data,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except RecursionError:
        raise Untrusted(f"nested more than {DEEPEST} levels deep") from None
    except Untrusted:
        raise
    except ValueError as error:  # of the text, or of its encoding
        raise Untrusted(f"not JSON: {error}") from None
    _check(value, DEEPEST)
    return value


def read_object(data: str | bytes, largest: int) -> dict[str, Any]:
    """The same for an object. Raises Untrusted."""
    return fields(read_json(data, largest))


def typed(kind: type[_Kind], record: Any, **special: Callable[[Any], Any]) -> _Kind:
    """Makes a dataclass of a JSON object by the annotations of its fields. A field that the object
    lacks keeps its default; names that are no fields are left out, other versions have them.
    `special` reads fields whose annotation is none of those here. Raises Untrusted."""
    if not isinstance(record, Mapping):
        raise Untrusted(f"{shown(record)}, expected an object")
    values = {}
    for field in dataclasses.fields(kind):
        if field.name in record:
            read = special.get(field.name) or _READERS[str(field.type)]
            try:
                values[field.name] = read(record[field.name])
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                raise Untrusted(f"'{field.name}': {error}") from None
    try:
        return kind(**values)
    except TypeError as error:  # a field without default
        raise Untrusted(str(error).partition(") ")[2] or str(error)) from None


def text(value: Any) -> str:
    """A string. Raises Untrusted."""
    if type(value) is not str:
        raise Untrusted(f"{shown(value)}, expected a string")
    return value


def integer(value: Any) -> int:
    """A number without fraction. Raises Untrusted."""
    if type(value) is not int:
        raise Untrusted(f"{shown(value)}, expected an integer")
    return value


def count(value: Any) -> int:
    """A number of things, or an address. Raises Untrusted."""
    if type(value) is not int or value < 0:
        raise Untrusted(f"{shown(value)}, expected a count")
    return value


def number(value: Any) -> float:
    """A finite number. Raises Untrusted."""
    if type(value) not in (int, float) or not math.isfinite(value):
        raise Untrusted(f"{shown(value)}, expected a number")
    return float(value)


def flag(value: Any) -> bool:
    """True or false. Raises Untrusted."""
    if type(value) is not bool:
        raise Untrusted(f"{shown(value)}, expected true or false")
    return value


def fields(value: Any) -> dict[str, Any]:
    """An object. Raises Untrusted."""
    if not isinstance(value, dict):
        raise Untrusted(f"{shown(value)}, expected an object")
    return value


def items(value: Any) -> Sequence[Any]:
    """A list. Raises Untrusted."""
    if not isinstance(value, (list, tuple)):
        raise Untrusted(f"{shown(value)}, expected a list")
    return value


def texts(value: Any) -> tuple[str, ...]:
    """A list of strings. Raises Untrusted."""
    return tuple(text(item) for item in items(value))


def shown(value: Any) -> str:
    """A value for a message: its beginning."""
    whole = repr(value)
    return whole if len(whole) <= _SHOWN else whole[:_SHOWN] + "..."


# By the annotation of the field.
_READERS: Mapping[str, Callable[[Any], Any]] = {
    "str": text,
    "int": integer,
    "bool": flag,
    "float": number,
    "str | None": lambda value: None if value is None else text(value),
    "int | None": lambda value: None if value is None else integer(value),
    "tuple[str, ...]": texts,
    "Sequence[str]": texts,
    "tuple[int, ...]": lambda value: tuple(integer(item) for item in items(value)),
}


def _check(value: Any, levels: int) -> None:
    if isinstance(value, str):
        if not value.isascii():
            _check_text(value)
    elif isinstance(value, (dict, list)):
        if levels == 0:
            raise Untrusted(f"nested more than {DEEPEST} levels deep")
        for item in _parts(value):
            _check(item, levels - 1)


def _parts(value: dict[str, Any] | list[Any]) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    else:
        yield from value


def _check_text(value: str) -> None:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise Untrusted(f"{shown(value)} is half of a surrogate pair") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Untrusted(f"an object with two {shown(twice)}")
    return found


def _integer(digits: str) -> int:
    value = int(digits) if len(digits) <= 20 else _HIGHEST + 1
    if not _LOWEST <= value <= _HIGHEST:
        raise Untrusted(f"{digits[:_SHOWN]} does not fit in 64 bits")
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise Untrusted(f"{digits[:_SHOWN]} does not fit in 64 bits")
    return value


def _constant(name: str) -> NoReturn:
    raise Untrusted(f"{name} is not JSON")
