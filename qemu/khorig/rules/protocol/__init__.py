# SPDX-License-Identifier: BSD-3-Clause
"""Rules over the course of a run: what a guest prints, and what its memory says of that."""
