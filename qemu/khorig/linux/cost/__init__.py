# SPDX-License-Identifier: BSD-3-Clause
"""What handovers of a Linux cost, over the number of things handed over."""
