# SPDX-License-Identifier: BSD-3-Clause
"""Host side of khorig: runs kernels under QEMU and decides whether a handover lost anything."""

__version__ = "0.1.0"
