// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <libfdt.h>
#include <stdint.h>

#include <cstdlib>
#include <initializer_list>
#include <string>
#include <vector>

namespace base {

/// A device tree for tests, written by libfdt. Errors end the test program.
class TestTree {
 public:
  /// A root with the given cell counts. `room` is the tree's totalsize.
  explicit TestTree(uint32_t address_cells = 2, uint32_t size_cells = 2, size_t room = 16 << 10)
      : words_(room / sizeof(uint64_t)) {
    Check(fdt_create_empty_tree(blob(), static_cast<int>(room)));
    Cells("/", "#address-cells", {address_cells});
    Cells("/", "#size-cells", {size_cells});
  }

  void* blob() { return words_.data(); }
  const void* blob() const { return words_.data(); }
  uint64_t size() const { return fdt_totalsize(words_.data()); }

  /// Adds the node `path`, whose parent is there.
  TestTree& Node(const std::string& path) {
    const size_t slash = path.rfind('/');
    Check(fdt_add_subnode(blob(), Offset(slash == 0 ? "/" : path.substr(0, slash)),
                          path.substr(slash + 1).c_str()));
    return *this;
  }
  TestTree& Bytes(const std::string& path, const char* name, const std::string& value) {
    Check(fdt_setprop(blob(), Offset(path), name, value.data(), static_cast<int>(value.size())));
    return *this;
  }
  /// A terminated string.
  TestTree& String(const std::string& path, const char* name, const std::string& value) {
    return Bytes(path, name, std::string(value.c_str(), value.size() + 1));
  }
  TestTree& Cells(const std::string& path, const char* name,
                  std::initializer_list<uint32_t> cells) {
    std::string bytes;
    for (const uint32_t cell : cells) {
      for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(cell >> shift);
    }
    return Bytes(path, name, bytes);
  }
  TestTree& Reserve(uint64_t begin, uint64_t size) {
    Check(fdt_add_mem_rsv(blob(), begin, size));
    return *this;
  }
  /// Cuts the free room off.
  TestTree& Pack() {
    Check(fdt_pack(blob()));
    return *this;
  }

 private:
  int Offset(const std::string& path) {
    const int offset = fdt_path_offset(blob(), path.c_str());
    Check(offset);
    return offset;
  }
  static void Check(int result) {
    if (result < 0) std::abort();
  }

  std::vector<uint64_t> words_;
};

}  // namespace base
