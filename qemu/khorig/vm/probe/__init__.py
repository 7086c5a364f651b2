# SPDX-License-Identifier: BSD-3-Clause
"""The host's half of the probe, a plugin for QEMU's TCG (qemu/probe/)."""
