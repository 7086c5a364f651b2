# SPDX-License-Identifier: BSD-3-Clause
"""How a boot protocol passes a handover on."""
