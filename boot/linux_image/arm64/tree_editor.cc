// SPDX-License-Identifier: BSD-3-Clause
#include "boot/linux_image/arm64/tree_editor.h"

#include <libfdt.h>
#include <string.h>

namespace boot {

int TreeEditor::Child(int parent, const char* name) {
  int found = -FDT_ERR_NOTFOUND;
  int node = fdt_first_subnode(fdt_, parent);
  for (; node >= 0; node = fdt_next_subnode(fdt_, node)) {
    const char* const other = fdt_get_name(fdt_, node, nullptr);
    if (other != nullptr && strcmp(other, name) == 0) found = node;
  }
  if (found >= 0) return found;
  if (node != -FDT_ERR_NOTFOUND) return Check(node);
  // For libfdt "name@1" is "name", and one that is there cannot be added.
  node = Check(fdt_add_subnode(fdt_, parent, "khorig,new"));
  if (node >= 0) Check(fdt_set_name(fdt_, node, name));
  return node;
}

void TreeEditor::Delete(int node, const char* name) {
  int result = 0;
  while (result == 0) result = fdt_delprop(fdt_, node, name);
  if (result != -FDT_ERR_NOTFOUND) Check(result);
}

void TreeEditor::SetU32(int node, const char* name, uint32_t value) {
  Check(fdt_setprop_u32(fdt_, node, name, value));
}

void TreeEditor::SetU64(int node, const char* name, uint64_t value) {
  Check(fdt_setprop_u64(fdt_, node, name, value));
}

void TreeEditor::SetString(int node, const char* name, const char* value) {
  Check(fdt_setprop_string(fdt_, node, name, value));
}

void TreeEditor::SetEmpty(int node, const char* name) {
  Check(fdt_setprop_empty(fdt_, node, name));
}

void TreeEditor::SetRange(int node, const char* name, khocore::PhysRange range) {
  uint8_t bytes[kMaxRangeBytes];
  const size_t size = PutRange(range, bytes);
  Check(fdt_setprop(fdt_, node, name, bytes, static_cast<int>(size)));
}

void TreeEditor::AppendRange(int node, const char* name, khocore::PhysRange range) {
  uint8_t bytes[kMaxRangeBytes];
  const size_t size = PutRange(range, bytes);
  Check(fdt_appendprop(fdt_, node, name, bytes, static_cast<int>(size)));
}

size_t TreeEditor::PutRange(khocore::PhysRange range, uint8_t (&bytes)[kMaxRangeBytes]) {
  size_t at = 0;
  const auto put = [&](uint64_t value, uint64_t count) {
    if (count == 1 && value >> 32 != 0) Check(-FDT_ERR_BADNCELLS);
    for (uint64_t i = count * 4; i-- != 0;) bytes[at++] = static_cast<uint8_t>(value >> 8 * i);
  };
  put(range.begin.raw(), cells_.address);
  put(range.size, cells_.size);
  return at;
}

}  // namespace boot
