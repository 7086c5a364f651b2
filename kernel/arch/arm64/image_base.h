// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Read by C++, assembly and kernel.lds.S.

// The virtual address the image is linked at.
#define IMAGE_BASE 0x7f80000000
// Of the stack that exceptions are taken on, of each CPU. What is taken within the handler of
// another starts in the middle.
#define EXCEPTION_STACK_BYTES 0x4000
