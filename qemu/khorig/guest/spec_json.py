# SPDX-License-Identifier: BSD-3-Clause
"""RunSpec as JSON: in the journal, in verdict.json, and back."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Callable, Mapping

from khorig.guest.chain_run import ChainRun
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.poke import FORM, Poke, parse_poke
from khorig.guest.spec import RunSpec

_KINDS: Mapping[str, type[KhorigRun] | type[ChainRun]] = {
    KhorigRun.kind: KhorigRun,
    ChainRun.kind: ChainRun,
}


def spec_to_json(spec: RunSpec) -> dict[str, Any]:
    """An object that `spec_from_json` makes the same spec of, also after a trip through a file."""
    values = {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec)}
    causes = {str(generation): cause for generation, cause in spec.expected_refusals.items()}
    pokes = [str(poke) for poke in spec.pokes]
    return {"kind": spec.kind, **values, "expected_refusals": causes, "pokes": pokes}


def spec_from_json(record: Any) -> RunSpec:
    """Takes anything that JSON can be. Fields of other versions are left out. Raises ValueError."""
    if not isinstance(record, dict):
        raise ValueError(f"a run's specification is {record!r}, expected an object")
    kind = record.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"kind of run {kind!r}, expected one of {', '.join(_KINDS)}")
    values = {}
    for field in dataclasses.fields(_KINDS[kind]):
        if field.name in record:
            try:
                values[field.name] = _READERS[str(field.type)](record[field.name])
            except (TypeError, ValueError) as error:
                raise ValueError(f"'{field.name}' of a run: {error}") from error
    try:
        return _KINDS[kind](**values)
    except TypeError as error:
        raise ValueError(f"a run without {error}") from error


def _exactly(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"{value!r}, expected {kind.__name__}")
        return value

    return read


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{value!r}, expected a number")
    return float(value)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{value!r}, expected a list")
    return tuple(_exactly(str)(item) for item in value)


def _causes(value: Any) -> dict[int, str]:
    return {int(generation): _exactly(str)(cause) for generation, cause in dict(value).items()}


def _pokes(value: Any) -> tuple[Poke, ...]:
    pokes = [(text, parse_poke(text)) for text in _texts(value)]
    for text, poke in pokes:
        if poke is None:
            raise ValueError(f"{text!r}, expected {FORM}")
    return tuple(poke for _, poke in pokes if poke is not None)


# By the annotation of the field.
_READERS: Mapping[str, Callable[[Any], Any]] = {
    "str": _exactly(str),
    "int": _exactly(int),
    "bool": _exactly(bool),
    "float": _seconds,
    "str | None": lambda value: None if value is None else _exactly(str)(value),
    "tuple[str, ...]": _texts,
    "Mapping[int, str]": _causes,
    "tuple[Poke, ...]": _pokes,
}
