// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/abi/geometry.h"

/// What Linux's own test module hands over (Linux 7.2 and 7.3, lib/test_kho.c): the subtree
/// `kho_test`, a fragment
///     / { compatible = "kho-test-v1"; magic = <u32>;
///         data { nr_folios = <u32>; folios_info = <struct Vmalloc>; csum = <u32>; }; };
/// All values are CPU-native. `folios_info` lists pages of u64, one for each folio: its physical
/// address, with its order in the bits below the page size. `csum` is Linux's csum_partial over all
/// folios in that sequence: a ones' complement sum, whose width differs by architecture.

namespace khocore::abi {

inline constexpr char kKhoTestClient[] = "kho_test";
inline constexpr char kKhoTestCompatible[] = "kho-test-v1";
inline constexpr char kKhoTestData[] = "data";
inline constexpr uint32_t kKhoTestMagic = 0x4b484f21;
inline constexpr unsigned kKhoTestOrderMask = kGeometry.page_size() - 1;

}  // namespace khocore::abi
