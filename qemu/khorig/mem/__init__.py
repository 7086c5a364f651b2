# SPDX-License-Identifier: BSD-3-Clause
"""Physical memory: ranges, dump formats, bytes that changed."""
