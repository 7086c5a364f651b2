# SPDX-License-Identifier: BSD-3-Clause
"""Everything that is printed or written for people and scripts."""
