# SPDX-License-Identifier: BSD-3-Clause
"""`khorig list`"""

from __future__ import annotations

import json

import click

from khorig.cli.verb import Verb
from khorig.run.axes.axis import Axis
from khorig.run.axes.read import read_axes
from khorig.run.faults import known_faults
from khorig.run.scenarios import ScenarioInfo, read_scenarios
from khorig.vm.build_outputs import find_elf
from khorig.vm.machines import ARCHITECTURES, DEFAULT_MACHINES, MACHINES, machine_origin


@click.command(
    "list", cls=Verb, short_help="List scenarios, machines, faults, tamperings and axes."
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output (schema 1).")
def list_command(as_json: bool) -> None:
    """List scenarios, machines, faults and tamperings that 'khorig run' takes, and the axes of the
    hardware matrix. Scenarios and faults are read from the built kernels; nothing is booted."""
    from khorig.kho.clients.outside import DECODERS, LUO_DECODERS
    from khorig.kho.codecs import CODECS
    from khorig.rules.protocol.scenario import SCENARIOS
    from khorig.run.tamper.catalogue import TAMPERINGS

    scenarios = {
        scenario.name: _with_needs(scenario)
        for arch in ARCHITECTURES
        for scenario in read_scenarios(find_elf(arch))
    }
    scenarios |= {
        name: _from(scenario.summary, SCENARIOS.distribution(name))
        for name, scenario in SCENARIOS.items()
    }
    machines = {
        machine.name: _from(
            f"{machine.arch}: {machine.summary}"
            + ("  (default)" if machine.name in DEFAULT_MACHINES else ""),
            machine_origin(machine.name),
        )
        for machine in MACHINES
    }
    tamperings = {
        name: f"must be refused as {tampering.cause}" for name, tampering in TAMPERINGS.items()
    }
    decoders = {
        name: _from(f"handover of {codec.writers}", CODECS.distribution(name))
        for name, codec in CODECS.items()
    }
    decoders |= {name: _from("client", DECODERS.distribution(name)) for name in DECODERS}
    decoders |= {
        name: _from("carried by LUO", LUO_DECODERS.distribution(name)) for name in LUO_DECODERS
    }
    faults = {name: fault.summary for name, fault in known_faults().items()}
    axes = {axis.name: _axis(axis) for axis in read_axes()}
    groups = {
        "scenarios": scenarios,
        "machines": machines,
        "faults": faults,
        "axes": axes,
        "tamperings": tamperings,
        "decoders": decoders,
    }
    if as_json:
        click.echo(json.dumps({"schema": 1, **groups}, indent=1))
        return
    for title, entries in groups.items():
        click.echo(f"{title}:")
        for name, summary in entries.items():
            click.echo(f"  {name:<24} {summary}")


def _axis(axis: Axis) -> str:
    """What it is, its values, and what reveals them."""
    values = ", ".join(value.name for value in axis.values)
    reveals = f"fault {axis.fault}" if axis.fault else "no fault"
    return f"{axis.summary}: {values}  ({reveals})"


def _with_needs(scenario: ScenarioInfo) -> str:
    return (
        f"{scenario.summary}  (needs {scenario.needs})" if str(scenario.needs) else scenario.summary
    )


def _from(summary: str, distribution: str) -> str:
    """With what added it, when it is not the tree's own."""
    return f"{summary}  (from {distribution})" if distribution else summary
