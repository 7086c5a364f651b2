// SPDX-License-Identifier: BSD-3-Clause
#include <libfdt.h>
#include <string.h>

#include "boot/device_tree.h"

namespace boot {
namespace {

/// The nodes from the root to the one whose properties are being read.
class Walker {
 public:
  Walker(const void* fdt, khocore::FunctionRef<void(const TreeNode& node)> visit)
      : fdt_(fdt), visit_(visit) {}

  void BeginNode(int offset) {
    Visit();
    if (++depth_ > kMaxDepth) return;
    TreeNode& node = path_[depth_];
    node = {};
    node.parent = depth_ == 0 ? nullptr : &path_[depth_ - 1];
    node.offset = offset;
    node.name = fdt_get_name(fdt_, offset, nullptr);
    pending_ = node.name != nullptr;
  }

  /// Reads the property itself where libfdt would check the whole of it once more.
  void Property(int offset) {
    using Header = struct fdt_property;
    if (!pending_) return;
    const void* const at = fdt_offset_ptr(fdt_, offset, sizeof(Header));
    if (at == nullptr) return;
    const auto* const property = static_cast<const Header*>(at);
    const uint32_t length = fdt32_ld(&property->len);
    const int name_offset = static_cast<int>(fdt32_ld(&property->nameoff));
    const char* const name = fdt_get_string(fdt_, name_offset, nullptr);
    const int value_offset = offset + static_cast<int>(sizeof(Header));
    const void* const value = fdt_offset_ptr(fdt_, value_offset, length);
    if (name == nullptr || value == nullptr) return;
    Keep(name, {static_cast<const uint8_t*>(value), length});
  }

  void EndNode() {
    Visit();
    --depth_;
  }

 private:
  static constexpr int kMaxDepth = DeviceTree::kMaxDepth;

  void Keep(const char* name, PropertyValue value) {
    struct Known {
      const char* name;
      PropertyValue TreeNode::* value;
    };
    static constexpr Known kKnown[] = {
        {"compatible", &TreeNode::compatible}, {"device_type", &TreeNode::device_type},
        {"status", &TreeNode::status},         {"reg", &TreeNode::reg},
        {"ranges", &TreeNode::ranges},
    };
    TreeNode& node = path_[depth_];
    for (const Known& known : kKnown) {
      if (strcmp(name, known.name) == 0) node.*known.value = value;
    }
    if (strcmp(name, "#address-cells") == 0) (void)ReadNumber(value, &node.child_cells.address);
    if (strcmp(name, "#size-cells") == 0) (void)ReadNumber(value, &node.child_cells.size);
  }

  /// Properties come before subnodes, so a node is complete when the first of these begins.
  void Visit() {
    if (pending_) visit_(path_[depth_]);
    pending_ = false;
  }

  const void* fdt_;
  khocore::FunctionRef<void(const TreeNode& node)> visit_;
  TreeNode path_[kMaxDepth + 1];
  int depth_ = -1;
  bool pending_ = false;  ///< the node at `depth_` is still to be visited
};

}  // namespace

void DeviceTree::Walk(khocore::FunctionRef<void(const TreeNode& node)> visit) const {
  Walker walker(blob_, visit);
  for (int offset = 0, next = 0; next >= 0; offset = next) {
    switch (fdt_next_tag(blob_, offset, &next)) {
      case FDT_BEGIN_NODE:
        walker.BeginNode(offset);
        break;
      case FDT_PROP:
        walker.Property(offset);
        break;
      case FDT_END_NODE:
        walker.EndNode();
        break;
      case FDT_END:
        return;
      default:
        break;
    }
  }
}

}  // namespace boot
