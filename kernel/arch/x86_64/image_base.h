// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Read by C++, assembly and kernel.lds.S.

// The virtual address the image is linked at.
#define IMAGE_BASE 0xffffffff80000000
// Where QEMU puts the ELF, and where a loader of bzImages puts the kernel if it can.
#define PHYSICAL_BASE 0x200000
