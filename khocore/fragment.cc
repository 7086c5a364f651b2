// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/fragment.h"

#include <libfdt.h>
#include <string.h>

#include "khocore/abi/handover.h"

namespace khocore {
namespace {

constexpr int kPageBytes = static_cast<int>(kPageSize);
constexpr Order kOnePage = Order::FromLog2(0);

}  // namespace

FragmentWriter::FragmentWriter(const PhysicalMemory& memory, PageSource& pages, Tracker& tracker,
                               const char* compatible)
    : pages_(pages), tracker_(tracker) {
  const Result<PageFrame> page = pages.AllocatePage();
  if (!page.ok()) {
    status_ = page.error();
    return;
  }
  page_ = page.value();
  const Result<void*> bytes = memory.Map({page_.address(), kPageSize});
  if (!bytes.ok()) {
    status_ = bytes.error();
    pages_.FreePage(page_);
    return;
  }
  fdt_ = bytes.value();
  int error = fdt_create(fdt_, kPageBytes);
  if (error == 0) error = fdt_finish_reservemap(fdt_);
  if (error == 0) error = fdt_begin_node(fdt_, "");
  if (Check(error).ok()) (void)PropertyString(abi::kCompatibleProperty, compatible);
}

FragmentWriter::~FragmentWriter() { Drop(); }

Status FragmentWriter::BeginNode(const char* name) {
  if (!IsOpen()) return status_;
  ++depth_;
  after_subnode_ = false;
  return Check(fdt_begin_node(fdt_, name));
}

Status FragmentWriter::EndNode() {
  if (!IsOpen()) return status_;
  if (depth_ == 0) return Check(-FDT_ERR_BADSTATE);
  --depth_;
  after_subnode_ = true;
  return Check(fdt_end_node(fdt_));
}

Status FragmentWriter::Property(const char* name, Span<const uint8_t> value) {
  if (!IsOpen()) return status_;
  if (after_subnode_) return Check(-FDT_ERR_BADSTATE);
  // Too long a name makes libfdt 1.6 write in front of the page; too long a value does not fit int.
  if (strlen(name) >= kPageSize - UsedBytes() || value.size > kPageSize) {
    return Check(-FDT_ERR_NOSPACE);
  }
  return Check(fdt_property(fdt_, name, value.data, static_cast<int>(value.size)));
}

Status FragmentWriter::PropertyU64(const char* name, uint64_t value) {
  uint8_t bytes[sizeof(value)];
  memcpy(bytes, &value, sizeof(value));
  return Property(name, {bytes, sizeof(bytes)});
}

Status FragmentWriter::PropertyString(const char* name, const char* value) {
  return Property(name, {reinterpret_cast<const uint8_t*>(value), strlen(value) + 1});
}

Status FragmentWriter::Link(const char* name, PhysAddr data, uint64_t size) {
  (void)BeginNode(name);
  (void)PropertyU64(abi::kDataProperty, data.raw());
  (void)PropertyU64(abi::kSizeProperty, size);
  return EndNode();
}

Result<PageFrame> FragmentWriter::Close() {
  if (!IsOpen()) {
    Drop();
    return status_.error();
  }
  if (depth_ != 0) {
    (void)Check(-FDT_ERR_BADSTATE);
  } else {
    int error = fdt_end_node(fdt_);
    if (error == 0) error = fdt_finish(fdt_);
    (void)Check(error);
  }
  if (status_.ok()) status_ = tracker_.Preserve({page_, kOnePage});
  if (!status_.ok()) {
    Drop();
    return status_.error();
  }
  fdt_ = nullptr;
  return page_;
}

Status FragmentWriter::Check(int fdt_error) {
  if (fdt_error == -FDT_ERR_NOSPACE) {
    status_ = Error{ErrorCode::kNoSpace, page_.address(), 0, kPageSize};
  } else if (fdt_error != 0) {
    status_ = Error{ErrorCode::kFdtStructure, page_.address()};
  }
  return status_;
}

uint64_t FragmentWriter::UsedBytes() const {
  return uint64_t{fdt_off_dt_struct(fdt_)} + fdt_size_dt_struct(fdt_) + fdt_size_dt_strings(fdt_);
}

bool FragmentWriter::IsOpen() {
  if (status_.ok() && fdt_ == nullptr) status_ = Error{ErrorCode::kFdtStructure, page_.address()};
  return status_.ok();
}

void FragmentWriter::Drop() {
  if (fdt_ == nullptr) return;
  fdt_ = nullptr;
  pages_.FreePage(page_);
}

Result<FragmentReader> FragmentReader::Open(const PhysicalMemory& memory, PhysAddr address) {
  if (!address.IsAligned(sizeof(uint64_t))) {
    return Error{ErrorCode::kUnaligned, address, address.raw(), sizeof(uint64_t)};
  }
  const Result<void*> header = memory.Map({address, sizeof(fdt_header)});
  if (!header.ok()) return header.error();
  FragmentReader reader;
  reader.address_ = address;
  reader.fdt_ = header.value();
  const uint32_t magic = fdt_magic(reader.fdt_);
  if (magic != FDT_MAGIC) return Error{ErrorCode::kFdtMagic, address, magic, FDT_MAGIC};
  const uint32_t size = fdt_totalsize(reader.fdt_);
  if (size < sizeof(fdt_header) || size > kPageSize) {
    return Error{ErrorCode::kFdtTotalSize, address, size, kPageSize};
  }
  const Result<void*> whole = memory.Map({address, size});
  if (!whole.ok()) return whole.error();
  // Before version 16 a node had its whole path for a name.
  if (fdt_version(reader.fdt_) < 16 || fdt_check_full(reader.fdt_, size) != 0) {
    return Error{ErrorCode::kFdtStructure, address, size};
  }
  return reader;
}

PhysAddr FragmentReader::NodeAddress(int node) const {
  return address_ + (fdt_off_dt_struct(fdt_) + static_cast<uint64_t>(node));
}

Result<int> FragmentReader::Subnode(int parent, const char* name) const {
  const int node = fdt_subnode_offset(fdt_, parent, name);
  if (node < 0) return Error{ErrorCode::kNotFound, NodeAddress(parent)};
  return node;
}

Result<Span<const uint8_t>> FragmentReader::Property(int node, const char* name) const {
  int length = 0;
  const void* value = fdt_getprop(fdt_, node, name, &length);
  if (value == nullptr) return Error{ErrorCode::kNotFound, NodeAddress(node)};
  return Span<const uint8_t>{static_cast<const uint8_t*>(value), static_cast<size_t>(length)};
}

Result<uint64_t> FragmentReader::PropertyU64(int node, const char* name) const {
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

Result<const char*> FragmentReader::PropertyString(int node, const char* name) const {
  const Result<Span<const uint8_t>> property = Property(node, name);
  if (!property.ok()) return property.error();
  const Span<const uint8_t> bytes = property.value();
  if (memchr(bytes.data, 0, bytes.size) == nullptr) {
    return Error{ErrorCode::kPropertySize, NodeAddress(node), bytes.size, bytes.size + 1};
  }
  return reinterpret_cast<const char*>(bytes.data);
}

Result<PhysRange> FragmentReader::Link(int node) const {
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

Status FragmentReader::ForEachSubnode(int parent,
                                      FunctionRef<Status(int node, const char* name)> visit) const {
  for (int node = fdt_first_subnode(fdt_, parent); node >= 0; node = fdt_next_subnode(fdt_, node)) {
    KHOCORE_RETURN_IF_ERROR(visit(node, fdt_get_name(fdt_, node, nullptr)));
  }
  return Ok{};
}

bool LooksLikeFragment(const PhysicalMemory& memory, PhysRange blob) {
  if (!blob.begin.IsAligned(kPageSize) || blob.size < sizeof(fdt_header)) return false;
  const void* header = memory.Find({blob.begin, sizeof(fdt_header)});
  return header != nullptr && fdt_magic(header) == FDT_MAGIC &&
         (blob.size == kPageSize || fdt_totalsize(header) <= kPageSize);
}

}  // namespace khocore
