// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Read by C++, assembly and linker scripts: numbers alone, which all three can read.

// Log2 of the page size, the one constant that all else follows from: 12, 14 or 16. The build
// setting //khocore:page_size chooses it.
#ifndef KHOCORE_PAGE_SHIFT
#define KHOCORE_PAGE_SHIFT 12
#endif
