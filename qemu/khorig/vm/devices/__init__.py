# SPDX-License-Identifier: BSD-3-Clause
"""What of a machine is on, read from QEMU: the guest is not asked."""
