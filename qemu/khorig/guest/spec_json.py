# SPDX-License-Identifier: BSD-3-Clause
"""RunSpec to and from JSON, for the journal and verdict.json."""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping

from khorig.guest.chain_run import ChainRun, split_option
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.poke import FORM, Poke, parse_poke
from khorig.guest.program import program_words
from khorig.guest.spec import RunSpec
from khorig.mem.untrusted import Untrusted, shown, text, texts, typed

_KINDS: Mapping[str, type[KhorigRun] | type[ChainRun]] = {
    KhorigRun.kind: KhorigRun,
    ChainRun.kind: ChainRun,
}


def spec_to_json(spec: RunSpec) -> dict[str, Any]:
    """JSON object of a spec; the inverse of `spec_from_json`."""
    values = {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec)}
    causes = {str(generation): cause for generation, cause in spec.expected_refusals.items()}
    pokes = [str(poke) for poke in spec.pokes]
    return {"kind": spec.kind, **values, "expected_refusals": causes, "pokes": pokes}


def spec_from_json(record: Any) -> RunSpec:
    """Parses any JSON value. Unknown fields are ignored. Raises Untrusted."""
    if not isinstance(record, dict):
        raise Untrusted(f"a run's specification is {shown(record)}, expected an object")
    kind = record.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise Untrusted(f"kind of run {shown(kind)}, expected one of {', '.join(_KINDS)}")
    try:
        return typed(
            _KINDS[kind],
            record,
            expected_refusals=_causes,
            pokes=_pokes,
            programs=_programs,
            kexec_flags=_kexec_flags,
        )
    except Untrusted as error:
        raise Untrusted(f"a run's specification: {error}") from None


def _causes(value: Any) -> dict[int, str]:
    return {int(generation): text(cause) for generation, cause in dict(value).items()}


def _programs(value: Any) -> tuple[str, ...]:
    programs = texts(value)
    for program in programs:
        program_words(split_option(program)[1])
    return programs


def _kexec_flags(value: Any) -> tuple[str, ...]:
    flags = texts(value)
    if not flags:
        return flags
    from khorig.guest.kexec_flags import flag_words  # of few runs

    for words in flags:
        flag_words(split_option(words)[1])
    return flags


def _pokes(value: Any) -> tuple[Poke, ...]:
    pokes = [(word, parse_poke(word)) for word in texts(value)]
    for word, poke in pokes:
        if poke is None:
            raise Untrusted(f"{shown(word)}, expected {FORM}")
    return tuple(poke for _, poke in pokes if poke is not None)
