# SPDX-License-Identifier: BSD-3-Clause
"""`import khorig`: dumps for programs."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Iterator

import pytest
from dumps.dump_files import write_described
from dumps.sample import Sample
from view.handover_image import PAGE, RAM, HandoverImage

import khorig

_FACTS = {"arch": "x86_64", "machine": "q35", "generation": 1, "at": "sealed"}


def write(path: Path, sample: Sample) -> Path:
    write_described(path, sample.image.ram, {**_FACTS, "root": hex(sample.image.root)})
    return path


def test_what_a_dump_has(tmp_path: Path) -> None:
    sample = Sample().finish()
    with khorig.open_dump(str(write(tmp_path / "sample.ram", sample))) as dump:
        assert (dump.arch, dump.format, dump.geometry.page_size) == ("x86_64", "RAM image", PAGE)
        assert dump.handover.root.address == sample.image.root
        assert dump.owner(sample.image.root + PAGE - 1) == "root"
        assert dump.owner(dump.handover.tree.root).startswith("radix node of level 5")
        assert dump.owner(RAM.end) == ""
        blocks = list(dump.blocks)
        assert sum(block.size for block in blocks) == dump.owners.page_count * PAGE
        assert all(dump.owner(block.end - 1) for block in blocks)
        owners = {block.owner.partition(" page ")[0] for block in blocks}
        assert owners >= {"root", "memblock/mem0", "kho_test chunk 0 (order 0)"}
        assert list(dump.clients) == [node.name for node in dump.handover.root.tree.children]
        assert set(dump.clients) >= {"kexec-metadata", "memblock", "khorig", "LUO", "kho_test"}
        assert dump.check() == []
        assert dump.read(sample.image.root, 4) == bytes.fromhex("d00dfeed")
        name = next(iter(dump.snapshot.clients.stores))
        assert len(dump.store(name)) == dump.snapshot.clients.stores[name].size


def test_a_broken_rule_is_a_finding(tmp_path: Path) -> None:
    sample = Sample().finish()
    sample.image.ram.write(sample.luo, b"luo-v6")
    with khorig.open_dump(write(tmp_path / "luo.ram", sample)) as dump:
        [finding] = dump.check()
        assert (finding.rule, finding.owner) == ("KHR-I050", "LUO")
        assert finding.where == f"{sample.luo:#018x}" and "'luo-v6'" in finding.what
        assert repr(finding).startswith(f"<KHR-I050 {sample.luo:#018x}: ")
    sample.image.ram.write(sample.image.root, b"GARBAGE!")
    with khorig.open_dump(write(tmp_path / "root.ram", sample)) as dump:
        assert [finding.rule for finding in dump.check()] == ["KHR-I001"]
        with pytest.raises(khorig.NoHandover):
            dump.handover


def test_two_dumps(tmp_path: Path) -> None:
    sample = Sample().finish()
    before = write(tmp_path / "before.ram", sample)
    reserved = sample.image.ram.read(sample.image.root, PAGE)
    sample.image.ram.write(sample.image.root, reserved[:-1] + b"\1")
    after = write(tmp_path / "after.ram", sample)
    with khorig.open_dump(before) as a, khorig.open_dump(after) as b:
        assert a.diff(a).same
        difference = a.diff(b)
        assert difference.lost.tolist() == [sample.image.root // PAGE]
        assert repr(difference) == "<before.ram to after.ram: pages changed: 1 preserved (LOST)>"
        chosen = khorig.OpenDump(a._dump, root=sample.image.root)
        assert chosen.diff(b).root == sample.image.root


def test_what_a_person_sees(tmp_path: Path) -> None:
    sample = Sample().finish()
    with khorig.open_dump(write(tmp_path / "sample.ram", sample)) as dump:
        assert repr(dump) == "<sample.ram: RAM image, x86_64, q35, 65 MiB of RAM>"
        parts = (dump.handover, dump.snapshot, dump.handover.tree, dump.owners, dump.handover.root)
        shown = [repr(part) for part in (*parts, *dump.outcomes(), *dump.blocks, dump)]
        assert max(map(len, shown)) < 160 and not any("\n" in text for text in shown)
        assert f"<kho-v4 at {sample.image.root:#x}: " in repr(dump)


def test_errors_have_one_base(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("nothing " * 1000)
    missing = tmp_path / "missing"
    with pytest.raises(khorig.Error, match="missing: cannot be read"):
        khorig.open_dump(missing)
    with pytest.raises(khorig.Error), khorig.open_dump(text, machine="q35") as dump:
        dump.handover
    with pytest.raises(khorig.Error), khorig.open_dump(text, machine="q35") as dump:
        dump.read(1 << 40, 8)
    with khorig.open_dump(text, machine="q35") as dump:
        nothing = khorig.OpenDump(replace(dump._dump, arch=None))
        with pytest.raises(khorig.CannotExport, match="architecture"):
            nothing.to_elf(tmp_path / "core")
    sample = write(tmp_path / "sample.ram", Sample().finish())
    write_described(
        tmp_path / "arm.ram", HandoverImage().ram, {**_FACTS, "arch": "arm64", "root": "0x0"}
    )
    with khorig.open_dump(sample) as a, khorig.open_dump(tmp_path / "arm.ram") as b:
        with pytest.raises(khorig.CannotCompare):
            a.diff(b)


def test_every_promised_name_is_there() -> None:
    for name in khorig.__all__:
        assert getattr(khorig, name) is not None
    assert set(khorig.__all__) <= set(dir(khorig))
    with pytest.raises(AttributeError, match="'khorig' has no attribute 'open_dumps'"):
        khorig.open_dumps  # type: ignore[attr-defined]


@pytest.mark.parametrize("line", ["import khorig", "import khorig.cli.main, khorig.cli.run"])
def test_nothing_waits_for_numpy(line: str) -> None:
    code = f"{line}; import sys; print({{'numpy', 'rich', 'khorig.api'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def silent_geometries(package: Path) -> Iterator[str]:
    """Arguments and fields that mean some page size when nobody gives them."""
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            defaults: list[ast.expr | None] = []
            if isinstance(node, ast.arguments):
                defaults = [*node.defaults, *node.kw_defaults]
            elif isinstance(node, ast.ClassDef):
                fields = [entry for entry in node.body if isinstance(entry, ast.AnnAssign)]
                defaults = [field.value for field in fields]
            for default in defaults:
                if default is not None and "GEOMETRY" in ast.unparse(default).upper():
                    yield f"{path.relative_to(package)}:{default.lineno}"


def test_no_argument_means_4_kib(tmp_path: Path) -> None:
    assert list(silent_geometries(Path(khorig.__file__).parent)) == []
    (tmp_path / "wrong.py").write_text("def f(memory, geometry=GEOMETRY_4K):\n    pass\n")
    assert list(silent_geometries(tmp_path)) == ["wrong.py:1"]
