// SPDX-License-Identifier: BSD-3-Clause
#include <libfdt.h>
#include <string.h>

#include "kernel/base/device_tree.h"

namespace base {
namespace {

/// The nodes from the root to the one whose properties are being read.
class Walker {
 public:
  explicit Walker(khocore::FunctionRef<void(const TreeNode& node)> visit) : visit_(visit) {}

  void BeginNode(int offset, const char* name) {
    Visit();
    if (++depth_ > kMaxDepth) return;
    TreeNode& node = path_[depth_];
    node = {};
    node.parent = depth_ == 0 ? nullptr : &path_[depth_ - 1];
    node.offset = offset;
    node.name = name;
    pending_ = true;
    has_address_cells_ = has_size_cells_ = false;
  }

  void Property(const char* name, PropertyValue value) {
    if (pending_) Keep(name, value);
  }

  void EndNode() {
    Visit();
    --depth_;
  }

 private:
  static constexpr int kMaxDepth = DeviceTree::kMaxDepth;

  /// Of several properties with one name the first one counts, as for libfdt.
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
      if (*name != *known.name || strcmp(name, known.name) != 0) continue;
      if ((node.*known.value).data == nullptr) node.*known.value = value;
    }
    if (*name != '#') return;
    if (strcmp(name, "#address-cells") == 0) {
      KeepCount(value, &has_address_cells_, &node.child_cells.address);
    } else if (strcmp(name, "#size-cells") == 0) {
      KeepCount(value, &has_size_cells_, &node.child_cells.size);
    }
  }

  static void KeepCount(PropertyValue value, bool* has, uint64_t* count) {
    if (!*has) (void)ReadNumber(value, count);
    *has = true;
  }

  /// Properties come before subnodes, so a node is complete when the first of these begins.
  void Visit() {
    if (pending_) visit_(path_[depth_]);
    pending_ = false;
  }

  khocore::FunctionRef<void(const TreeNode& node)> visit_;
  TreeNode path_[kMaxDepth + 1];
  int depth_ = -1;
  bool pending_ = false;  ///< the node at `depth_` is still to be visited
  bool has_address_cells_ = false;
  bool has_size_cells_ = false;
};

}  // namespace

/// Goes from tag to tag by itself: libfdt checks each of them anew, and `Open` has checked them
/// all.
void DeviceTree::Walk(khocore::FunctionRef<void(const TreeNode& node)> visit) const {
  Walker walker(visit);
  const auto* const tree = static_cast<const uint8_t*>(blob_);
  const uint8_t* const begin = tree + fdt_off_dt_struct(blob_);
  const char* const strings = reinterpret_cast<const char*>(tree + fdt_off_dt_strings(blob_));
  const auto take_number = [](const uint8_t*& at) {
    const uint32_t number = fdt32_ld(reinterpret_cast<const fdt32_t*>(at));
    at += sizeof(number);
    return number;
  };
  for (const uint8_t* at = begin;;) {
    const auto offset = static_cast<int>(at - begin);
    switch (take_number(at)) {
      case FDT_BEGIN_NODE: {
        const char* const name = reinterpret_cast<const char*>(at);
        at += khocore::AlignUp(strlen(name) + 1, FDT_TAGSIZE);
        walker.BeginNode(offset, name);
        break;
      }
      case FDT_PROP: {
        const uint32_t length = take_number(at);
        const char* const name = strings + take_number(at);
        walker.Property(name, {at, length});
        at += khocore::AlignUp(length, FDT_TAGSIZE);
        break;
      }
      case FDT_END_NODE:
        walker.EndNode();
        break;
      case FDT_NOP:
        break;
      default:  // FDT_END
        return;
    }
  }
}

}  // namespace base
