# SPDX-License-Identifier: BSD-3-Clause
"""What distributions outside of the tree add through entry points (docs/library.md)."""
