// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/fdt_view.h"

#include <stddef.h>

#include "khocore/big_endian.h"

namespace khocore {
namespace {

using abi::FdtHeader;
using abi::FdtProperty;
using abi::FdtReservation;
using abi::kFdtTagSize;

bool HasZeroByte(uint32_t word) { return ((word - 0x01010101) & ~word & 0x80808080) != 0; }

/// Whether the `limit` bytes at `text` begin with `name` and its NUL.
bool IsText(const char* text, uint32_t limit, const char* name) {
  for (uint32_t i = 0; i < limit && text[i] == name[i]; ++i) {
    if (name[i] == '\0') return true;
  }
  return false;
}

/// Whether a block lies behind the header and within `size` bytes.
bool Fits(uint32_t offset, uint32_t block_size, uint32_t size) {
  return offset >= sizeof(FdtHeader) && offset <= size && block_size <= size - offset;
}

}  // namespace

// Walking over tags is nearly all that readers do, so this is inlined into each walk.
inline uint32_t FdtView::Word(uint32_t at) const {
  return BigEndian(*reinterpret_cast<const uint32_t*>(structure_ + at));
}

inline FdtView::Tag FdtView::ReadTag(uint32_t at) const {
  constexpr Tag kNone{kNoTag, 0, 0, 0};
  if (at >= structure_size_) return kNone;
  const uint32_t left = structure_size_ - at;  // whole words
  const uint32_t kind = Word(at);
  switch (kind) {
    case abi::kFdtBeginNode:
      for (uint32_t name = kFdtTagSize; name < left; name += kFdtTagSize) {
        if (HasZeroByte(Word(at + name))) return {kind, at + name + kFdtTagSize, 0, 0};
      }
      return kNone;
    case abi::kFdtProperty: {
      if (left < sizeof(FdtProperty)) return kNone;
      const uint32_t size = Word(at + offsetof(FdtProperty, size));
      const uint32_t name = Word(at + offsetof(FdtProperty, name));
      if (size > left - sizeof(FdtProperty) || name >= names_size_) return kNone;
      const uint32_t value = at + static_cast<uint32_t>(sizeof(FdtProperty));
      return {kind, static_cast<uint32_t>(AlignUp(value + size, kFdtTagSize)), name, size};
    }
    case abi::kFdtEndNode:
    case abi::kFdtNop:
    case abi::kFdtEnd:
      return {kind, at + kFdtTagSize, 0, 0};
    default:
      return kNone;
  }
}

bool FdtView::Open(const void* bytes, uint32_t size) {
  bytes_ = static_cast<const uint8_t*>(bytes);
  const auto& header = *static_cast<const FdtHeader*>(bytes);
  const uint32_t version = BigEndian(header.version);
  const uint32_t compatible = BigEndian(header.compatible_version);
  if (version < abi::kFdtCompatibleVersion || compatible > abi::kFdtVersion ||
      compatible > version) {
    return false;
  }
  return OpenBlocks(header, size) && ReservationsEnd(header, size) && IsOneTree();
}

bool FdtView::OpenBlocks(const FdtHeader& header, uint32_t size) {
  const uint32_t structure = BigEndian(header.structure);
  const bool has_size = BigEndian(header.version) >= abi::kFdtVersion;
  const uint32_t structure_size = has_size ? BigEndian(header.structure_size) : size - structure;
  if (structure % kFdtTagSize != 0 || !Fits(structure, structure_size, size)) return false;
  structure_ = bytes_ + structure;
  structure_size_ = structure_size / kFdtTagSize * kFdtTagSize;

  const uint32_t strings = BigEndian(header.strings);
  names_size_ = BigEndian(header.strings_size);
  if (!Fits(strings, names_size_, size)) return false;
  strings_ = reinterpret_cast<const char*>(bytes_ + strings);
  while (names_size_ > 0 && strings_[names_size_ - 1] != '\0') --names_size_;
  return true;
}

bool FdtView::ReservationsEnd(const FdtHeader& header, uint32_t size) const {
  uint32_t at = BigEndian(header.reservations);
  if (at % alignof(FdtReservation) != 0) return false;
  for (; Fits(at, sizeof(FdtReservation), size); at += sizeof(FdtReservation)) {
    if (reinterpret_cast<const FdtReservation*>(bytes_ + at)->size == 0) return true;
  }
  return false;
}

bool FdtView::IsOneTree() const {
  Tag tag = ReadTag(0);
  if (tag.kind != abi::kFdtBeginNode || *Name(0) != '\0') return false;
  for (uint32_t depth = 1; depth != 0;) {
    tag = ReadTag(tag.next);
    switch (tag.kind) {
      case abi::kFdtBeginNode:
        ++depth;
        break;
      case abi::kFdtEndNode:
        --depth;
        break;
      case abi::kFdtProperty:
      case abi::kFdtNop:
        break;
      default:
        return false;
    }
  }
  return ReadTag(tag.next).kind == abi::kFdtEnd;
}

const char* FdtView::Name(uint32_t node) const {
  if (ReadTag(node).kind != abi::kFdtBeginNode) return nullptr;
  return reinterpret_cast<const char*>(structure_ + node + kFdtTagSize);
}

bool FdtView::NextNode(uint32_t* node, uint32_t* depth) const {
  Tag tag = ReadTag(*node);
  if (tag.kind != abi::kFdtBeginNode) return false;
  for (;;) {
    const uint32_t at = tag.next;
    tag = ReadTag(at);
    switch (tag.kind) {
      case abi::kFdtBeginNode:
        *node = at;
        ++*depth;
        return true;
      case abi::kFdtEndNode:
        if (*depth == 0) return false;
        --*depth;
        break;
      case abi::kFdtProperty:
      case abi::kFdtNop:
        break;
      default:
        return false;
    }
  }
}

bool FdtView::FindSubnode(uint32_t parent, const char* name, uint32_t* node) const {
  uint32_t depth = 0;
  for (*node = parent; NextNode(node, &depth);) {
    const uint32_t text = *node + kFdtTagSize;
    if (depth == 1 &&
        IsText(reinterpret_cast<const char*>(structure_ + text), structure_size_ - text, name)) {
      return true;
    }
  }
  return false;
}

bool FdtView::FindProperty(uint32_t node, const char* name, Span<const uint8_t>* value) const {
  Tag tag = ReadTag(node);
  if (tag.kind != abi::kFdtBeginNode) return false;
  for (;;) {
    const uint32_t at = tag.next;
    tag = ReadTag(at);
    if (tag.kind == abi::kFdtNop) continue;
    if (tag.kind != abi::kFdtProperty) return false;
    if (!HasName(tag, name)) continue;
    *value = {structure_ + at + sizeof(FdtProperty), tag.size};
    return true;
  }
}

bool FdtView::HasName(const Tag& property, const char* name) const {
  return IsText(strings_ + property.name, names_size_ - property.name, name);
}

}  // namespace khocore
