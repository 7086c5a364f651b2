// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/page_size.h"

#include <string.h>

#include "khocore/abi/handover.h"
#include "khocore/big_endian.h"
#include "khocore/fdt_view.h"

namespace khocore {
namespace {

using abi::FdtHeader;
using abi::Geometry;

constexpr Geometry kGeometries[] = {Geometry{12}, Geometry{14}, Geometry{16}};
constexpr uint64_t kLargestPage = kGeometries[2].page_size();

/// The address of the tree of preserved blocks; null when there is none.
PhysAddr MapOf(const PhysicalMemory& memory, PhysAddr root) {
  if (!root.IsAligned(sizeof(uint64_t))) return {};
  const void* const header = memory.Find({root, sizeof(FdtHeader)});
  if (header == nullptr) return {};
  const uint32_t size = BigEndian(static_cast<const FdtHeader*>(header)->total_size);
  FdtView tree;
  Span<const uint8_t> map;
  uint64_t address = 0;
  if (size < sizeof(FdtHeader) || size > kLargestPage || memory.Find({root, size}) == nullptr ||
      !tree.Open(header, size) || !tree.FindProperty(0, abi::kMemoryMapProperty, &map) ||
      map.size != sizeof(address)) {
    return {};
  }
  memcpy(&address, map.data, sizeof(address));
  return PhysAddr::FromRaw(address);
}

/// The word of the tree's node at `node`; 0 when there is no such node.
uint64_t WordOf(const PhysicalMemory& memory, Geometry geometry, PhysAddr node, uint64_t index) {
  if (node.is_null() || !node.IsAligned(geometry.page_size())) return 0;
  const void* const words = memory.Find({node, geometry.page_size()});
  return words == nullptr ? 0 : static_cast<const uint64_t*>(words)[index];
}

/// Whether the page at `page` is a block of order 0 of the tree at `map`.
bool IsPreserved(const PhysicalMemory& memory, Geometry geometry, PhysAddr map, PhysAddr page) {
  if (!page.IsAligned(geometry.page_size())) return false;
  const uint64_t key = uint64_t{1} << geometry.order_0_bit() | page.raw() >> geometry.page_shift;
  PhysAddr node = map;
  for (unsigned level = geometry.levels() - 1; level > 0; --level) {
    const unsigned shift = (level - 1) * geometry.table_log2() + geometry.bitmap_log2();
    const uint64_t slots = uint64_t{1} << geometry.table_log2();
    node = PhysAddr::FromRaw(WordOf(memory, geometry, node, (key >> shift) % slots));
  }
  const uint64_t bit = key % (uint64_t{1} << geometry.bitmap_log2());
  return (WordOf(memory, geometry, node, bit / 64) >> bit % 64 & 1) != 0;
}

}  // namespace

Status CheckPageSize(const PhysicalMemory& memory, PhysAddr root) {
  const PhysAddr map = MapOf(memory, root);
  if (map.is_null() || IsPreserved(memory, abi::kGeometry, map, root)) return Ok{};
  for (const Geometry& geometry : kGeometries) {
    if (IsPreserved(memory, geometry, map, root)) {
      return Error{ErrorCode::kPageSize, root, geometry.page_size(), kPageSize};
    }
  }
  return Ok{};
}

}  // namespace khocore
