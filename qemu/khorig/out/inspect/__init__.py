# SPDX-License-Identifier: BSD-3-Clause
"""What `inspect` prints."""
