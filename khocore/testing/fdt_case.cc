// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/testing/fdt_case.h"

#include <libfdt.h>
#include <string.h>

#include <string>
#include <vector>

#include "khocore/fdt_view.h"
#include "khocore/testing/case_check.h"

namespace khocore {
namespace {

/// Whether libfdt 1.6 meets a property that claims more bytes than there can be. It adds lengths up
/// in 32 bits, so that its check accepts some of these, and never ends on others.
bool HasWrappingProperty(const void* fdt) {
  int next = 0;
  for (int at = 0;; at = next) {
    const uint32_t tag = fdt_next_tag(fdt, at, &next);
    if (next < 0 || tag == FDT_END) return false;
    if (tag != FDT_PROP) continue;
    const void* const size = fdt_offset_ptr(fdt, at + static_cast<int>(FDT_TAGSIZE), FDT_TAGSIZE);
    if (size == nullptr || fdt32_ld(static_cast<const fdt32_t*>(size)) > kPageSize) return true;
  }
}

/// What `fdt_check_full` accepts and a fragment must not be.
bool IsRefusedHereAlone(const void* fdt) {
  return fdt_version(fdt) < 17 ||  // offsets of names without a bound
         fdt_off_dt_struct(fdt) % 4 != 0 || fdt_off_mem_rsvmap(fdt) % 8 != 0 ||
         fdt_offset_ptr(fdt, 0, 4) == nullptr ||
         fdt32_ld(static_cast<const fdt32_t*>(fdt_offset_ptr(fdt, 0, 4))) != FDT_BEGIN_NODE;
}

void CompareProperties(const void* fdt, const FdtView& view, int node) {
  for (int at = fdt_first_property_offset(fdt, node); at >= 0;
       at = fdt_next_property_offset(fdt, at)) {
    const char* name = nullptr;
    CASE_CHECK(fdt_getprop_by_offset(fdt, at, &name, nullptr) != nullptr);
    int size = 0;
    const void* const want = fdt_getprop(fdt, node, name, &size);
    Span<const uint8_t> value;
    CASE_CHECK(view.FindProperty(static_cast<uint32_t>(node), name, &value));
    CASE_CHECK(value.data == want && value.size == static_cast<size_t>(size));
    const std::string longer = std::string(name) + "x";
    const bool has_longer = fdt_getprop(fdt, node, longer.c_str(), nullptr) != nullptr;
    CASE_CHECK(view.FindProperty(static_cast<uint32_t>(node), longer.c_str(), &value) ==
               has_longer);
  }
}

void CompareSubnodes(const void* fdt, const FdtView& view, int parent) {
  std::vector<std::string> seen;
  for (int node = fdt_first_subnode(fdt, parent); node >= 0; node = fdt_next_subnode(fdt, node)) {
    const std::string name = fdt_get_name(fdt, node, nullptr);
    bool is_first = true;
    for (const std::string& other : seen) is_first = is_first && other != name;
    seen.push_back(name);
    if (!is_first) continue;
    uint32_t found = 0;
    CASE_CHECK(view.FindSubnode(static_cast<uint32_t>(parent), name.c_str(), &found));
    CASE_CHECK(found == static_cast<uint32_t>(node));
  }
}

void CompareReads(const void* fdt, const FdtView& view) {
  CASE_CHECK(view.structure() == fdt_off_dt_struct(fdt));
  uint32_t node = 0;
  uint32_t depth = 0;
  int want_depth = 0;
  for (int want = 0;;) {
    CASE_CHECK(node == static_cast<uint32_t>(want));
    CASE_CHECK(strcmp(view.Name(node), fdt_get_name(fdt, want, nullptr)) == 0);
    CompareProperties(fdt, view, want);
    CompareSubnodes(fdt, view, want);
    want = fdt_next_node(fdt, want, &want_depth);
    const bool more = want >= 0 && want_depth > 0;
    CASE_CHECK(view.NextNode(&node, &depth) == more);
    if (!more) return;
    CASE_CHECK(depth == static_cast<uint32_t>(want_depth));
  }
}

}  // namespace

bool RunFdtCase(Span<const uint8_t> input) {
  if (input.size < sizeof(abi::FdtHeader) || input.size > kPageSize) return false;
  // Exactly as large as the tree, so that a sanitizer sees a read beyond it.
  std::vector<uint8_t> bytes(input.begin(), input.end());
  void* const fdt = bytes.data();
  const auto size = static_cast<uint32_t>(bytes.size());
  fdt_set_magic(fdt, FDT_MAGIC);
  fdt_set_totalsize(fdt, size);

  FdtView view;
  const bool accepted = view.Open(fdt, size);
  // On versions before 16 libfdt's check reads through a null pointer.
  if (fdt_version(fdt) < 16 || HasWrappingProperty(fdt)) {
    CASE_CHECK(!accepted);
    return false;
  }
  const bool libfdt_accepts = fdt_check_full(fdt, size) == 0;
  CASE_CHECK(accepted ? libfdt_accepts : !libfdt_accepts || IsRefusedHereAlone(fdt));
  if (accepted) CompareReads(fdt, view);
  return accepted;
}

}  // namespace khocore
