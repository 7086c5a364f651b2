# SPDX-License-Identifier: BSD-3-Clause
"""Real Linux on either side of the jump: kernels, their user space, chains with them, verdicts."""
