# SPDX-License-Identifier: BSD-3-Clause
"""What the seed decides, computed again on the host."""
