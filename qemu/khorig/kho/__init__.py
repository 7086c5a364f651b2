# SPDX-License-Identifier: BSD-3-Clause
"""Reads a handover out of physical memory.

Written from the ABI text (docs/abi.md and the layouts below khocore/abi/), never from khocore's
code, so that a mistake of the writer is not repeated by the reader. Everything read is untrusted:
bounded, cycle-safe, and an error is a `DecodeError` with a stable id.
"""
