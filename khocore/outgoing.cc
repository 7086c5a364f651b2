// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/outgoing.h"

#include <stddef.h>
#include <string.h>

#include "khocore/abi/fdt.h"
#include "khocore/abi/handover.h"
#include "khocore/big_endian.h"
#include "khocore/fdt_view.h"

namespace khocore {
namespace {

/// A property with a value of `Size` bytes, as it stands in the structure block.
template <size_t Size>
struct Property {
  abi::FdtProperty head;
  uint8_t value[AlignUp(Size, abi::kFdtTagSize)];
};

/// The strings block: every name that a root needs.
struct Names {
  char compatible[sizeof(abi::kCompatibleProperty)];
  char map[sizeof(abi::kMemoryMapProperty)];
  char data[sizeof(abi::kDataProperty)];
  char size[sizeof(abi::kSizeProperty)];
};

/// A root without clients. Clients go between `compatible` and `end_node`, the newest first.
struct EmptyRoot {
  abi::FdtHeader header;
  uint64_t padding;
  abi::FdtReservation last_reservation;
  uint32_t begin_node;
  uint32_t name;
  Property<sizeof(uint64_t)> map;
  Property<sizeof(abi::kCompatible)> compatible;
  uint32_t end_node;
  uint32_t end;
  Names names;
};
constexpr uint32_t kStructure = offsetof(EmptyRoot, begin_node);
constexpr uint32_t kClients = offsetof(EmptyRoot, end_node);
constexpr uint32_t kStrings = offsetof(EmptyRoot, names);
static_assert(kStrings == kClients + 2 * abi::kFdtTagSize);

/// A client behind its name.
struct ClientBody {
  Property<sizeof(uint64_t)> size;
  Property<sizeof(uint64_t)> data;
  uint32_t end_node;
};

template <size_t Size>
Property<Size> MakeProperty(uint32_t name, const void* value) {
  Property<Size> property = {
      .head = {BigEndian(abi::kFdtProperty), BigEndian(Size), BigEndian(name)}, .value = {}};
  memcpy(property.value, value, Size);
  return property;
}

EmptyRoot MakeRoot(PhysAddr map) {
  const uint64_t map_value = map.raw();
  EmptyRoot root = {
      .header = {.magic = BigEndian(abi::kFdtMagic),
                 .total_size = BigEndian(kPageSize),
                 .structure = BigEndian(kStructure),
                 .strings = BigEndian(kStrings),
                 .reservations = BigEndian(offsetof(EmptyRoot, last_reservation)),
                 .version = BigEndian(abi::kFdtVersion),
                 .compatible_version = BigEndian(abi::kFdtCompatibleVersion),
                 .boot_cpu = 0,
                 .strings_size = BigEndian(sizeof(Names)),
                 .structure_size = BigEndian(kStrings - kStructure)},
      .padding = 0,
      .last_reservation = {},
      .begin_node = BigEndian(abi::kFdtBeginNode),
      .name = 0,
      .map = MakeProperty<sizeof(map_value)>(offsetof(Names, map), &map_value),
      .compatible =
          MakeProperty<sizeof(abi::kCompatible)>(offsetof(Names, compatible), abi::kCompatible),
      .end_node = BigEndian(abi::kFdtEndNode),
      .end = BigEndian(abi::kFdtEnd),
      .names = {},
  };
  memcpy(root.names.compatible, abi::kCompatibleProperty, sizeof(root.names.compatible));
  memcpy(root.names.map, abi::kMemoryMapProperty, sizeof(root.names.map));
  memcpy(root.names.data, abi::kDataProperty, sizeof(root.names.data));
  memcpy(root.names.size, abi::kSizeProperty, sizeof(root.names.size));
  return root;
}

ClientBody MakeClient(PhysRange blob) {
  const uint64_t data = blob.begin.raw();
  return {.size = MakeProperty<sizeof(blob.size)>(offsetof(Names, size), &blob.size),
          .data = MakeProperty<sizeof(data)>(offsetof(Names, data), &data),
          .end_node = BigEndian(abi::kFdtEndNode)};
}

void Grow(uint32_t* big_endian, uint64_t bytes) {
  *big_endian = BigEndian(BigEndian(*big_endian) + static_cast<uint32_t>(bytes));
}

}  // namespace

Result<Outgoing> Outgoing::Create(const PhysicalMemory& memory, PageSource& pages,
                                  Tracker& tracker) {
  const Result<PageFrame> page = pages.AllocatePage();
  if (!page.ok()) return page.error();
  Outgoing outgoing;
  outgoing.root_ = page.value();
  const PhysAddr address = outgoing.root_.address();
  outgoing.bytes_ = static_cast<uint8_t*>(memory.Find({address, kPageSize}));

  Status status = Error{ErrorCode::kOutsideRam, address, kPageSize};
  if (outgoing.bytes_ != nullptr) {
    const EmptyRoot root = MakeRoot(tracker.root().address());
    memcpy(outgoing.bytes_, &root, kStrings + sizeof(root.names));
    status = tracker.Preserve({outgoing.root_, Order()});
  }
  if (status.ok()) return outgoing;
  pages.FreePage(outgoing.root_);
  return status.error();
}

Status Outgoing::AddClient(const char* name, PhysRange blob) {
  if (blob.size == 0) return Error{ErrorCode::kBlobSizeRange, blob.begin, 0, 1};
  FdtView root;
  uint32_t node = 0;
  if (!root.Open(bytes_, kPageSize)) return Error{ErrorCode::kFdtStructure, root_.address()};
  if (root.FindSubnode(0, name, &node)) {
    return Error{ErrorCode::kAlreadyPreserved, root_.address()};
  }
  auto& header = *reinterpret_cast<abi::FdtHeader*>(bytes_);
  const uint64_t used = uint64_t{BigEndian(header.strings)} + BigEndian(header.strings_size);
  const uint64_t name_size = strlen(name) + 1;
  const uint64_t body = abi::kFdtTagSize + AlignUp(name_size, abi::kFdtTagSize);
  const uint64_t needed = body + sizeof(ClientBody);
  if (used + needed > kPageSize) {
    return Error{ErrorCode::kNoSpace, root_.address(), used + needed, kPageSize};
  }
  uint8_t* const client = bytes_ + kClients;
  memmove(client + needed, client, used - kClients);
  memset(client, 0, body);
  const uint32_t begin_node = BigEndian(abi::kFdtBeginNode);
  memcpy(client, &begin_node, sizeof(begin_node));
  memcpy(client + sizeof(begin_node), name, name_size);
  const ClientBody made = MakeClient(blob);
  memcpy(client + body, &made, sizeof(made));
  Grow(&header.structure_size, needed);
  Grow(&header.strings, needed);
  return Ok{};
}

}  // namespace khocore
