#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Stands in for QEMU: plays what $FAKE_QEMU says, a JSON list of [action, argument]:

    say TEXT       a line on the console          raw TEXT      console bytes as they are
    stop           wait for the byte `g`          poke [O, HEX] write guest RAM at an offset
    event [N, D]   a QMP event                    stderr TEXT   a line on stderr
    exit N         end with that status           kill N        die of that signal
    sleep S        do nothing for S seconds       hang          registers stay as they are
    busy S         registers change for S seconds, nothing is said
    circle N       registers change at each Nth look only
    maps P         all addresses are mapped to physical address P
    status N       end with that status when told to quit
    version V      what the greeting says, before anything else
    made M         what it says it has made, in place of what its arguments ask for: type, cpus, kvm
                   and wide (whether its CPUs have 64 bits); before anything else
"""

import json
import os
import re
import signal
import socket
import sys
import threading
import time
from typing import Any


MTREE = """FlatView #0
 AS "memory", root: system
 Root memory region: system
  0000000000000000-{:016x} (prio 0, ram): ram
"""


class FakeQemu:
    def __init__(self) -> None:
        arguments = " ".join(sys.argv)
        wires = dict(re.findall(r"socket,id=(\w+),fd=(\d+)", arguments))
        self.console = socket.socket(fileno=int(wires["console"]))
        self.qmp = socket.socket(fileno=int(wires["qmp"]))
        ram = re.search(r"mem-path=(\S+)", arguments)
        assert ram is not None
        self.ram = os.open(ram.group(1), os.O_RDWR)
        self.script = json.loads(os.environ["FAKE_QEMU"])
        self.version = [7, 2, 22]
        self.changes_every = 1  # looks; 0 for never
        self.looks = 0
        self.mapped = "Unmapped"
        self.status = 0
        self.ends_at = ""  # a command that arrives too late for an answer
        self.running = threading.Event()
        size = re.search(r",size=(\d+)", arguments)
        self.ram_bytes = int(size.group(1)) if size else 0
        name = re.search(r"-machine (\w+)", arguments)
        smp = re.search(r"-smp (\d+)", arguments)
        self.made: dict[str, Any] = {
            "type": f"{name.group(1) if name else ''}-machine",
            "cpus": int(smp.group(1)) if smp else 1,
            "kvm": "accel=kvm" in arguments,
            "wide": True,
        }

    def tell(self, message: object) -> None:
        self.qmp.sendall(json.dumps(message).encode() + b"\r\n")

    def serve_qmp(self) -> None:
        stream = self.qmp.makefile("r")
        for line in stream:
            request = json.loads(line)
            command = request["execute"]
            result: object = {}
            if command == "human-monitor-command":
                self.looks += 1
                every = self.changes_every
                moving = time.monotonic_ns() if every and self.looks % every == 0 else 0
                text = request["arguments"]["command-line"]
                result = f"RIP={0x1000:016x} RBP={0x2000:016x} RAX={moving:016x}"
                if text.startswith("gva2gpa"):
                    result = self.mapped
                if text.startswith("x "):
                    result = f"0000000000002000: 0x{0:016x} 0x{0x1234:016x}"
                if text == "info mtree -f":
                    result = MTREE.format(self.ram_bytes - 1)
                if text == "info ramblock":
                    result = f"  ram  4 KiB  0x0000000000000000 {self.ram_bytes:#018x}"
            elif command == "query-cpus-fast":
                cpu = {"thread-id": os.getpid(), "qom-path": "/machine/cpu"}
                result = [cpu] * self.made["cpus"]
            elif command == "qom-get":
                is_type = request["arguments"]["property"] == "type"
                result = self.made["type" if is_type else "wide"]
            elif command == "query-kvm":
                result = {"enabled": self.made["kvm"], "present": True}
            if command != self.ends_at:
                self.tell({"return": result})
            if command in ("quit", self.ends_at):
                os._exit(self.status)
            if command == "cont":
                self.running.set()

    def play(self) -> None:
        if self.script and self.script[0][0] == "version":
            self.version = self.script.pop(0)[1]
        if self.script and self.script[0][0] == "made":
            self.made |= self.script.pop(0)[1]
        if self.script and self.script[0][0] == "ends at":
            self.ends_at, self.status = self.script.pop(0)[1]
        keys = ("major", "minor", "micro")
        self.tell({"QMP": {"version": {"qemu": dict(zip(keys, self.version))}}})
        threading.Thread(target=self.serve_qmp, daemon=True).start()
        self.running.wait()
        for action, argument in self.script:
            self.do(action, argument)
        os._exit(0)

    def do(self, action: str, argument: Any) -> None:
        if action == "say":
            self.console.sendall(str(argument).encode() + b"\r\n")
        elif action == "raw":
            self.console.sendall(str(argument).encode("latin-1"))
        elif action == "stop":
            while self.console.recv(1) not in (b"g", b""):
                pass
        elif action == "poke":
            offset, data = argument
            os.pwrite(self.ram, bytes.fromhex(data), offset)
        elif action == "event":
            name, details = argument
            self.tell({"event": name, "data": details, "timestamp": {}})
        elif action == "stderr":
            print(argument, file=sys.stderr, flush=True)
        elif action == "exit":
            os._exit(int(str(argument)))
        elif action == "kill":
            os.kill(os.getpid(), int(str(argument)))
            signal.pause()
        elif action in ("sleep", "busy"):
            time.sleep(float(str(argument)))
        elif action == "maps":
            self.mapped = f"gpa: {argument}"
        elif action == "status":
            self.status = int(str(argument))
        elif action == "hang":
            self.changes_every = 0
            time.sleep(3600)
        elif action == "circle":
            self.changes_every = int(str(argument))
            time.sleep(3600)


def answer_cpu_models() -> None:
    """A QEMU that only says what CPUs are like."""
    print(json.dumps({"QMP": {}}))
    for line in sys.stdin:
        model = json.loads(line).get("arguments", {}).get("model")
        if model is None:
            print(json.dumps({"return": {}}))
        elif model["name"] == "nonsense":
            print(json.dumps({"error": {"desc": "CPU model 'nonsense' not found"}}))
        else:
            wide = model["name"] not in ("qemu32", "cortex-a15")
            props = {"lm": wide, **({"aarch64": True} if wide else {}), **model.get("props", {})}
            print(json.dumps({"return": {"model": {**model, "props": props}}}))


if __name__ == "__main__":
    if "--version" in sys.argv:
        print("QEMU emulator version 7.2.22")
    elif "stdio" in sys.argv:
        answer_cpu_models()
    else:
        FakeQemu().play()
