# SPDX-License-Identifier: BSD-3-Clause
"""QEMU: machines, process, QMP, console, RAM file."""
