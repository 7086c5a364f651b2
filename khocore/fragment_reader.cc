// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/fragment_reader.h"

#include <string.h>

#include "khocore/abi/handover.h"
#include "khocore/big_endian.h"

namespace khocore {
namespace {

using abi::FdtHeader;

const FdtHeader* FindHeader(const PhysicalMemory& memory, PhysAddr address) {
  return static_cast<const FdtHeader*>(memory.Find({address, sizeof(FdtHeader)}));
}

}  // namespace

Result<FragmentReader> FragmentReader::Open(const PhysicalMemory& memory, PhysRange blob) {
  const PhysAddr address = blob.begin;
  if (!address.IsAligned(kPageSize)) {
    return Error{ErrorCode::kUnaligned, address, address.raw(), kPageSize};
  }
  const FdtHeader* const header = FindHeader(memory, address);
  if (header == nullptr) return Error{ErrorCode::kOutsideRam, address, sizeof(FdtHeader)};
  const uint32_t magic = BigEndian(header->magic);
  if (magic != abi::kFdtMagic) return Error{ErrorCode::kFdtMagic, address, magic, abi::kFdtMagic};
  const uint32_t size = BigEndian(header->total_size);
  const uint64_t limit = blob.size < kPageSize ? blob.size : kPageSize;
  if (size < sizeof(FdtHeader) || size > limit) {
    return Error{ErrorCode::kFdtTotalSize, address, size, limit};
  }
  if (memory.Find({address, size}) == nullptr) {
    return Error{ErrorCode::kOutsideRam, address, size};
  }
  FragmentReader reader;
  reader.address_ = address;
  if (!reader.tree_.Open(header, size)) return Error{ErrorCode::kFdtStructure, address, size};
  return reader;
}

PhysAddr FragmentReader::NodeAddress(FragmentNode node) const {
  return address_ + (tree_.structure() + node.offset_);
}

Result<FragmentNode> FragmentReader::Subnode(FragmentNode parent, const char* name) const {
  FragmentNode node;
  if (tree_.FindSubnode(parent.offset_, name, &node.offset_)) return node;
  return Error{ErrorCode::kNotFound, NodeAddress(parent)};
}

Result<Span<const uint8_t>> FragmentReader::Property(FragmentNode node, const char* name) const {
  Span<const uint8_t> value;
  if (tree_.FindProperty(node.offset_, name, &value)) return value;
  return Error{ErrorCode::kNotFound, NodeAddress(node)};
}

Result<uint64_t> FragmentReader::PropertyU64(FragmentNode node, const char* name) const {
  const Result<Span<const uint8_t>> property = Property(node, name);
  if (!property.ok()) return property.error();
  const Span<const uint8_t> bytes = property.value();
  uint64_t value = 0;
  if (bytes.size != sizeof(value)) {
    return Error{ErrorCode::kPropertySize, NodeAddress(node), bytes.size, sizeof(value)};
  }
  memcpy(&value, bytes.data, sizeof(value));
  return value;
}

Result<const char*> FragmentReader::PropertyString(FragmentNode node, const char* name) const {
  const Result<Span<const uint8_t>> property = Property(node, name);
  if (!property.ok()) return property.error();
  const Span<const uint8_t> bytes = property.value();
  if (memchr(bytes.data, 0, bytes.size) == nullptr) {
    return Error{ErrorCode::kPropertySize, NodeAddress(node), bytes.size, bytes.size + 1};
  }
  return reinterpret_cast<const char*>(bytes.data);
}

bool FragmentReader::IsLink(FragmentNode node) const {
  Span<const uint8_t> value;
  return tree_.FindProperty(node.offset_, abi::kDataProperty, &value) ||
         tree_.FindProperty(node.offset_, abi::kSizeProperty, &value);
}

Result<PhysRange> FragmentReader::Link(FragmentNode node) const {
  const auto missing = [&](const Error& error, ErrorCode code) {
    return error.code == ErrorCode::kNotFound ? Error{code, error.where} : error;
  };
  const Result<uint64_t> data = PropertyU64(node, abi::kDataProperty);
  if (!data.ok()) return missing(data.error(), ErrorCode::kDataMissing);
  const Result<uint64_t> size = PropertyU64(node, abi::kSizeProperty);
  if (!size.ok()) return missing(size.error(), ErrorCode::kBlobSizeMissing);
  if (size.value() == 0) return Error{ErrorCode::kBlobSizeRange, NodeAddress(node), 0, 1};
  return PhysRange{PhysAddr::FromRaw(data.value()), size.value()};
}

Status FragmentReader::ForEachSubnode(
    FragmentNode parent, FunctionRef<Status(FragmentNode node, const char* name)> visit) const {
  uint32_t depth = 0;
  for (FragmentNode node = parent; NextNode(&node, &depth);) {
    if (depth == 1) KHOCORE_RETURN_IF_ERROR(visit(node, tree_.Name(node.offset_)));
  }
  return Ok{};
}

bool LooksLikeFragment(const PhysicalMemory& memory, PhysRange blob) {
  if (!blob.begin.IsAligned(kPageSize) || blob.size < sizeof(FdtHeader)) return false;
  const FdtHeader* const header = FindHeader(memory, blob.begin);
  return header != nullptr && BigEndian(header->magic) == abi::kFdtMagic &&
         (blob.size == kPageSize || BigEndian(header->total_size) <= kPageSize);
}

}  // namespace khocore
