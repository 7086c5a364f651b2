// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/fragment_writer.h"

#include <stddef.h>
#include <string.h>

#include "khocore/abi/fdt.h"
#include "khocore/abi/handover.h"
#include "khocore/big_endian.h"

namespace khocore {
namespace {

using abi::FdtHeader;
using abi::FdtProperty;
using abi::FdtReservation;
using abi::kFdtTagSize;

/// Where libfdt puts the blocks: the reservations, only the one that ends them, aligned to their
/// size.
constexpr uint64_t kReservations = AlignUp(sizeof(FdtHeader), sizeof(FdtReservation));
constexpr uint64_t kStructure = kReservations + sizeof(FdtReservation);

constexpr Text kCompatibleName = abi::kCompatibleProperty;
constexpr Text kDataName = abi::kDataProperty;
constexpr Text kSizeName = abi::kSizeProperty;

/// What an open fragment keeps in the name of a property, because offsets in the strings block are
/// not known yet: how far from the end of the page the name begins, and where the property before
/// this one is.
constexpr uint32_t kDistanceMask = 0xffff;
constexpr unsigned kPreviousShift = 16;
static_assert(kPageSize <= uint64_t{1} << kPreviousShift);

}  // namespace

FragmentWriter::FragmentWriter(const PhysicalMemory& memory, PageSource& pages, Tracker& tracker,
                               Text compatible)
    : pages_(pages), tracker_(tracker), structure_end_(kStructure) {
  const Result<PageFrame> page = pages.AllocatePage();
  if (!page.ok()) {
    status_ = page.error();
    return;
  }
  page_ = page.value();
  bytes_ = static_cast<uint8_t*>(memory.Find({page_.address(), kPageSize}));
  if (bytes_ == nullptr) {
    status_ = Error{ErrorCode::kOutsideRam, page_.address(), kPageSize};
    pages_.FreePage(page_);
    return;
  }
  AppendTag(abi::kFdtBeginNode);
  AppendTag(0);  // the root's name
  (void)PropertyString(kCompatibleName, compatible);
}

FragmentWriter::~FragmentWriter() { Drop(); }

Status FragmentWriter::BeginNode(Text name) {
  if (!IsOpen()) return status_;
  if (name.size > kPageSize || kFdtTagSize + AlignUp(name.size, kFdtTagSize) > Room()) {
    return FailNoSpace();
  }
  AppendTag(abi::kFdtBeginNode);
  AppendBytes(name.begin, name.size);
  ++depth_;
  after_subnode_ = false;
  return Ok{};
}

Status FragmentWriter::EndNode() {
  if (!IsOpen()) return status_;
  if (depth_ == 0) return FailStructure();
  if (Room() < kFdtTagSize) return FailNoSpace();
  AppendTag(abi::kFdtEndNode);
  --depth_;
  after_subnode_ = true;
  return Ok{};
}

Status FragmentWriter::Property(Text name, Span<const uint8_t> value) {
  if (!IsOpen()) return status_;
  if (after_subnode_) return FailStructure();
  KHOCORE_RETURN_IF_ERROR(BeginProperty(PlaceName(name), value.size));
  AppendBytes(value.data, value.size);
  return Ok{};
}

Result<Span<uint8_t>> FragmentWriter::PropertyInPlace(Text name, uint64_t size) {
  if (!IsOpen()) return status_.error();
  if (after_subnode_) return FailStructure().error();
  KHOCORE_RETURN_IF_ERROR(BeginProperty(PlaceName(name), size));
  uint8_t* const value = bytes_ + structure_end_;
  structure_end_ += AlignUp(size, kFdtTagSize);
  return Span<uint8_t>{value, size};
}

Status FragmentWriter::PropertyU64(Text name, uint64_t value) {
  if (!IsOpen()) return status_;
  if (after_subnode_) return FailStructure();
  return AppendU64(PlaceName(name), value);
}

Status FragmentWriter::PropertyString(Text name, Text value) {
  return Property(name, {reinterpret_cast<const uint8_t*>(value.begin), value.size});
}

Status FragmentWriter::Link(Text name, PhysAddr data, uint64_t size) {
  if (!BeginNode(name).ok()) return status_;
  if (link_names_.count != name_count_ || name_count_ == 0) {
    link_names_.data = PlaceName(kDataName);
    link_names_.size = PlaceName(kSizeName);
    link_names_.count = name_count_;
  }
  if (!AppendU64(link_names_.data, data.raw()).ok()) return status_;
  if (!AppendU64(link_names_.size, size).ok()) return status_;
  return EndNode();
}

Result<PageFrame> FragmentWriter::Close() {
  if (IsOpen()) {
    if (depth_ != 0) {
      (void)FailStructure();
    } else if (Room() < uint64_t{2} * kFdtTagSize) {
      (void)FailNoSpace();
    } else {
      AppendTag(abi::kFdtEndNode);
      AppendTag(abi::kFdtEnd);
      Finish();
      status_ = tracker_.Preserve({page_, Order()});
    }
  }
  if (!status_.ok()) {
    Drop();
    return status_.error();
  }
  bytes_ = nullptr;
  return page_;
}

Status FragmentWriter::FailNoSpace() {
  return status_ = Error{ErrorCode::kNoSpace, page_.address(), 0, kPageSize};
}

Status FragmentWriter::FailStructure() {
  return status_ = Error{ErrorCode::kFdtStructure, page_.address()};
}

bool FragmentWriter::IsOpen() {
  if (status_.ok() && bytes_ == nullptr) (void)FailStructure();
  return status_.ok();
}

void FragmentWriter::Drop() {
  if (bytes_ == nullptr) return;
  bytes_ = nullptr;
  pages_.FreePage(page_);
}

Status FragmentWriter::BeginProperty(uint64_t name, uint64_t size) {
  if (name == 0 || size > kPageSize || sizeof(FdtProperty) + AlignUp(size, kFdtTagSize) > Room()) {
    return FailNoSpace();
  }
  AppendPropertyHead(name, size);
  return Ok{};
}

inline Status FragmentWriter::AppendU64(uint64_t name, uint64_t value) {
  if (name == 0 || sizeof(FdtProperty) + sizeof(value) > Room()) return FailNoSpace();
  AppendPropertyHead(name, sizeof(value));
  // In the order of a CPU that is little-endian, as all of the machines are.
  *WordAt(structure_end_) = static_cast<uint32_t>(value);
  *WordAt(structure_end_ + sizeof(uint32_t)) = static_cast<uint32_t>(value >> 32);
  structure_end_ += sizeof(value);
  return Ok{};
}

inline void FragmentWriter::AppendPropertyHead(uint64_t name, uint64_t size) {
  const uint32_t property = structure_end_;
  AppendTag(abi::kFdtProperty);
  AppendTag(static_cast<uint32_t>(size));
  AppendTag(last_property_ << kPreviousShift | static_cast<uint32_t>(name));
  last_property_ = property;
}

uint32_t* FragmentWriter::WordAt(uint64_t offset) {
  return reinterpret_cast<uint32_t*>(bytes_ + offset);
}

void FragmentWriter::AppendTag(uint32_t value) {
  *WordAt(structure_end_) = BigEndian(value);
  structure_end_ += kFdtTagSize;
}

void FragmentWriter::AppendBytes(const void* bytes, uint64_t size) {
  // The page was zero, and so is what is up to the next tag.
  if (size != 0) memcpy(bytes_ + structure_end_, bytes, size);
  structure_end_ += AlignUp(size, kFdtTagSize);
}

uint64_t FragmentWriter::PlaceName(Text name) {
  // As libfdt does, the newest string that ends in the name is taken.
  uint64_t begin = strings_size_;
  for (uint32_t i = name_count_; i-- > 0;) {
    const uint64_t end = begin - NameSize(i, begin);
    if (end + name.size <= begin && *NameAt(end + name.size) == *name.begin &&
        memcmp(NameAt(end + name.size), name.begin, name.size) == 0) {
      return end + name.size;
    }
    begin = end;
  }
  if (name.size > Room()) return 0;
  if (name_count_ < kKnownNames) name_sizes_[name_count_] = static_cast<uint16_t>(name.size);
  ++name_count_;
  strings_size_ += static_cast<uint32_t>(name.size);
  memcpy(bytes_ + kPageSize - strings_size_, name.begin, name.size);
  return strings_size_;
}

uint64_t FragmentWriter::NameSize(uint32_t index, uint64_t distance) const {
  return index < kKnownNames ? name_sizes_[index] : strlen(NameAt(distance)) + 1;
}

void FragmentWriter::Finish() {
  for (uint64_t at = last_property_; at != 0;) {
    uint32_t* const name = WordAt(at + offsetof(FdtProperty, name));
    const uint32_t kept = BigEndian(*name);
    *name = BigEndian(strings_size_ - (kept & kDistanceMask));
    at = kept >> kPreviousShift;
  }
  memmove(bytes_ + structure_end_, bytes_ + kPageSize - strings_size_, strings_size_);
  *reinterpret_cast<FdtHeader*>(bytes_) = {
      .magic = BigEndian(abi::kFdtMagic),
      .total_size = BigEndian(structure_end_ + strings_size_),
      .structure = BigEndian(kStructure),
      .strings = BigEndian(structure_end_),
      .reservations = BigEndian(kReservations),
      .version = BigEndian(abi::kFdtVersion),
      .compatible_version = BigEndian(abi::kFdtCompatibleVersion),
      .boot_cpu = 0,
      .strings_size = BigEndian(strings_size_),
      .structure_size = BigEndian(structure_end_ - kStructure),
  };
}

}  // namespace khocore
