// SPDX-License-Identifier: BSD-3-Clause
#include "qemu/probe/ram.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace probe {
namespace {

// A number at the begin of `text`, which is advanced beyond it.
uint64_t TakeNumber(std::string_view& text, unsigned base) {
  uint64_t value = 0;
  while (!text.empty()) {
    const char c = text.front();
    unsigned digit = base;
    if (c >= '0' && c <= '9') digit = static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') digit = static_cast<unsigned>(c - 'a') + 10;
    if (digit >= base) break;
    value = value * base + digit;
    text.remove_prefix(1);
  }
  return value;
}

void Skip(std::string_view& text, size_t count) {
  text.remove_prefix(std::min(count, text.size()));
}

struct Mapping {
  uint64_t begin, end, offset, inode;
  bool is_shared;
};

// "begin-end rwxp offset major:minor inode path" (proc(5)).
Mapping Parse(std::string_view line) {
  Mapping mapping{};
  mapping.begin = TakeNumber(line, 16);
  Skip(line, 1);
  mapping.end = TakeNumber(line, 16);
  Skip(line, 4);
  mapping.is_shared = line.starts_with('s');
  Skip(line, 2);
  mapping.offset = TakeNumber(line, 16);
  Skip(line, std::min(line.find(' ', 1), line.size()) + 1);
  mapping.inode = TakeNumber(line, 10);
  return mapping;
}

}  // namespace

bool Ram::Find(int descriptor, std::string_view maps) {
  struct stat file{};
  if (fstat(descriptor, &file) != 0) return false;
  uint8_t* begin = nullptr;  // where the file's first byte is or would be
  uint64_t size = 0;
  while (!maps.empty()) {
    const size_t length = std::min(maps.find('\n'), maps.size());
    const Mapping mapping = Parse(maps.substr(0, length));
    Skip(maps, length + 1);
    // Some file systems list another device than fstat tells. Nothing else is mapped shared.
    if (mapping.inode != file.st_ino || !mapping.is_shared) continue;
    // One mapping may be listed in pieces.
    const uint64_t zero = mapping.begin - mapping.offset;
    if (begin == nullptr) begin = reinterpret_cast<uint8_t*>(zero);
    if (reinterpret_cast<uint64_t>(begin) == zero) size = std::max(size, mapping.end - zero);
  }
  if (begin == nullptr || count_ == kMaxFiles) return false;
  Map(begin, size);
  return true;
}

bool Ram::Find(std::span<const int> descriptors) {
  static char maps[1 << 20];
  const int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  size_t size = 0;
  ssize_t got = 0;
  while (size < sizeof(maps) && (got = read(file, maps + size, sizeof(maps) - size)) > 0) {
    size += static_cast<size_t>(got);
  }
  close(file);
  return std::all_of(descriptors.begin(), descriptors.end(), [&](int descriptor) {
    return Find(descriptor, std::string_view(maps, size));
  });
}

void Ram::Map(uint8_t* begin, uint64_t size) {
  files_[count_++] = {begin, size_, size};
  size_ += size;
}

const uint8_t* Ram::At(uint64_t offset) const {
  const Mapped* file = files_;
  while (offset - file->offset >= file->size) ++file;
  return file->begin + (offset - file->offset);
}

std::optional<uint64_t> Ram::OffsetOf(const void* host) const {
  const auto at = reinterpret_cast<uint64_t>(host);
  for (size_t i = 0; i < count_ && host != nullptr; ++i) {
    const uint64_t within = at - reinterpret_cast<uint64_t>(files_[i].begin);
    if (within < files_[i].size) return files_[i].offset + within;
  }
  return std::nullopt;
}

std::optional<uint64_t> Ram::OffsetOfReported(uint64_t reported) const {
  const size_t count = std::min<size_t>(block_.region_count, kMaxRegions);
  for (size_t i = 0; i < count; ++i) {
    const Region& region = block_.regions[i];
    if (reported - region.reported >= region.size) continue;
    const uint64_t offset = reported - region.reported + region.offset;
    if (offset < size_) return offset;
  }
  return std::nullopt;
}

std::optional<uint64_t> Ram::PhysicalOf(uint64_t offset) const {
  const size_t count = std::min<size_t>(block_.region_count, kMaxRegions);
  for (size_t i = 0; i < count; ++i) {
    const Region& region = block_.regions[i];
    if (offset - region.offset < region.size) return offset - region.offset + region.gpa;
  }
  return std::nullopt;
}

}  // namespace probe
