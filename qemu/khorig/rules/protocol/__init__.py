# SPDX-License-Identifier: BSD-3-Clause
"""Rules over a whole run: guest events, and guest memory compared with them."""
