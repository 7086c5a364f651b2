// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/tracker.h"

#include "khocore/abi/radix.h"
#include "khocore/radix_key.h"

namespace khocore {
namespace {

constexpr unsigned kTopLevel = abi::kRadixLevels - 1;

constexpr uint64_t BitMask(uint64_t key) { return uint64_t{1} << (key & 63); }
constexpr uint64_t BitWord(uint64_t key) { return RadixBit(key) / 64; }

// Slots go from 0 to a node and stay. Whoever sees the node also sees what it was made of.
inline uint64_t LoadSlot(const uint64_t* slot) { return __atomic_load_n(slot, __ATOMIC_ACQUIRE); }

/// False when another CPU was faster.
inline bool FillSlot(uint64_t* slot, PageFrame node) {
  uint64_t empty = 0;
  return __atomic_compare_exchange_n(slot, &empty, node.address().raw(), false, __ATOMIC_RELEASE,
                                     __ATOMIC_RELAXED);
}

/// Whether the bit was set before.
inline bool ClearBit(uint64_t* leaf, uint64_t key) {
  return (__atomic_fetch_and(&leaf[BitWord(key)], ~BitMask(key), __ATOMIC_ACQ_REL) &
          BitMask(key)) != 0;
}

inline bool TestBit(const uint64_t* leaf, uint64_t key) {
  return (__atomic_load_n(&leaf[BitWord(key)], __ATOMIC_ACQUIRE) & BitMask(key)) != 0;
}

inline Status CheckShape(Block block) {
  if (block.order.log2() > kMaxOrder) {
    return Error{ErrorCode::kOrderRange, block.begin(), block.order.log2(), kMaxOrder};
  }
  if (!block.IsAligned()) {
    return Error{ErrorCode::kUnaligned, block.begin(), block.begin().raw(), block.bytes()};
  }
  return Ok{};
}

inline Status CheckBlock(const PhysicalMemory& memory, Block block) {
  KHOCORE_RETURN_IF_ERROR(CheckShape(block));
  if (block.frame.number() < kRadixFrames &&
      memory.Find({block.begin(), block.bytes()}) != nullptr) {
    return Ok{};
  }
  return Error{ErrorCode::kOutsideRam, block.begin(), block.bytes()};
}

Status CheckRange(PhysRange range) {
  if (!range.begin.IsAligned(kPageSize) || range.size % kPageSize != 0) {
    return Error{ErrorCode::kUnaligned, range.begin, range.size, kPageSize};
  }
  if (range.Wraps()) return Error{ErrorCode::kOutsideRam, range.begin, range.size};
  return Ok{};
}

/// Calls `visit` for each block of `range`, front to back, until one returns false.
template <typename Visit>
void ForEachBlock(PhysRange range, Visit visit) {
  while (range.size != 0) {
    const Block block = FirstBlock(range);
    if (!visit(block)) return;
    range = {block.end(), range.size - block.bytes()};
  }
}

}  // namespace

Result<Tracker> Tracker::Create(const PhysicalMemory& memory, PageSource& pages) {
  Tracker tracker;
  tracker.memory_ = &memory;
  tracker.pages_ = &pages;
  const Result<uint64_t*> root = tracker.AllocateNode(&tracker.root_);
  if (!root.ok()) return root.error();
  tracker.node_count_ = 1;
  return tracker;
}

Tracker Tracker::ForCpu(PageSource& pages) const {
  Tracker tracker;
  tracker.memory_ = memory_;
  tracker.pages_ = &pages;
  tracker.root_ = root_;
  return tracker;
}

void Tracker::Join(const Tracker& other) {
  node_count_ += other.node_count_;
  block_count_ += other.block_count_;
  page_count_ += other.page_count_;
}

Status Tracker::PreserveAnywhere(Block block) {
  KHOCORE_RETURN_IF_ERROR(CheckBlock(*memory_, block));
  const uint64_t key = RadixKey(block);
  uint64_t* leaf = FindLeaf(key);
  if (leaf == nullptr) {
    const Result<uint64_t*> made = MakeLeaf(key);
    if (!made.ok()) return made.error();
    leaf = made.value();
  }
  const PhysRange window = memory_->WindowOf(block.begin());
  last_ram_ = PageFrame::Containing(PhysAddr::FromRaw(AlignUp(window.begin.raw(), kPageSize)));
  last_ram_pages_ = PageFrame::Containing(window.end()) - last_ram_;
  last_leaf_ = leaf;
  last_leaf_number_ = RadixLeaf(key);
  if (!SetBit(leaf, key)) {
    return Error{ErrorCode::kAlreadyPreserved, block.begin(), block.order.log2()};
  }
  ++block_count_;
  page_count_ += block.order.pages();
  return Ok{};
}

Status Tracker::MakeRoom(Block block) {
  KHOCORE_RETURN_IF_ERROR(CheckBlock(*memory_, block));
  const Result<uint64_t*> leaf = MakeLeaf(RadixKey(block));
  if (!leaf.ok()) return leaf.error();
  return Ok{};
}

Status Tracker::Unpreserve(Block block) {
  KHOCORE_RETURN_IF_ERROR(CheckShape(block));
  const bool has_key = block.frame.number() < kRadixFrames;
  const uint64_t key = has_key ? RadixKey(block) : 0;
  uint64_t* leaf = has_key ? FindLeaf(key) : nullptr;
  if (leaf == nullptr || !ClearBit(leaf, key)) {
    return Error{ErrorCode::kNotPreserved, block.begin(), block.order.log2()};
  }
  --block_count_;
  page_count_ -= block.order.pages();
  return Ok{};
}

bool Tracker::IsPreserved(Block block) const {
  if (!CheckShape(block).ok() || block.frame.number() >= kRadixFrames) return false;
  const uint64_t key = RadixKey(block);
  const uint64_t* leaf = FindLeaf(key);
  return leaf != nullptr && TestBit(leaf, key);
}

Status Tracker::PreserveRange(PhysRange range) {
  KHOCORE_RETURN_IF_ERROR(CheckRange(range));
  Status status = Ok{};
  uint64_t done = 0;
  ForEachBlock(range, [&](Block block) {
    status = Preserve(block);
    if (status.ok()) done += block.bytes();
    return status.ok();
  });
  if (status.ok()) return status;
  // The whole range is walked again, because only as a whole it splits into the same blocks.
  uint64_t left = done;
  ForEachBlock(range, [&](Block block) {
    if (left == 0) return false;
    left -= block.bytes();
    return Unpreserve(block).ok();
  });
  return status;
}

Status Tracker::UnpreserveRange(PhysRange range) {
  KHOCORE_RETURN_IF_ERROR(CheckRange(range));
  Status status = Ok{};
  ForEachBlock(range, [&](Block block) {
    if (IsPreserved(block)) return true;
    status = Error{ErrorCode::kNotPreserved, block.begin(), block.order.log2()};
    return false;
  });
  if (!status.ok()) return status;
  uint64_t done = 0;
  ForEachBlock(range, [&](Block block) {
    status = Unpreserve(block);
    if (status.ok()) done += block.bytes();
    return status.ok();
  });
  if (status.ok()) return status;
  // Another CPU was faster with one of the blocks. The leaves are there, so this cannot fail.
  ForEachBlock(range, [&](Block block) {
    if (done == 0) return false;
    done -= block.bytes();
    return Preserve(block).ok();
  });
  return status;
}

void Tracker::Destroy() {
  FreeNodes(root_, kTopLevel);
  *this = Tracker();
}

uint64_t* Tracker::Node(PageFrame page) const {
  return static_cast<uint64_t*>(memory_->Find({page.address(), kPageSize}));
}

Result<uint64_t*> Tracker::AllocateNode(PageFrame* page) {
  const Result<PageFrame> allocated = pages_->AllocatePage();
  if (!allocated.ok()) return allocated.error();
  *page = allocated.value();
  uint64_t* node = Node(*page);
  if (node != nullptr) return node;
  pages_->FreePage(*page);
  return Error{ErrorCode::kOutsideRam, page->address(), kPageSize};
}

uint64_t* Tracker::FindLeaf(uint64_t key) const {
  if (last_leaf_number_ == RadixLeaf(key)) return last_leaf_;
  uint64_t* node = Node(root_);
  for (unsigned level = kTopLevel; level > 0; --level) {
    const uint64_t below = LoadSlot(&node[RadixSlot(key, level)]);
    if (below == 0) return nullptr;
    node = Node(PageFrame::Containing(PhysAddr::FromRaw(below)));
  }
  return node;
}

Result<uint64_t*> Tracker::MakeLeaf(uint64_t key) {
  uint64_t* node = Node(root_);
  for (unsigned level = kTopLevel; level > 0; --level) {
    uint64_t* slot = &node[RadixSlot(key, level)];
    uint64_t below = LoadSlot(slot);
    if (below == 0) {
      PageFrame made[kTopLevel];
      const Result<uint64_t*> leaf = MakeBranch(key, level, made);
      if (!leaf.ok()) return leaf.error();
      if (FillSlot(slot, made[level - 1])) {
        node_count_ += level;
        return leaf;
      }
      for (unsigned i = 0; i < level; ++i) pages_->FreePage(made[i]);
      below = LoadSlot(slot);
    }
    node = Node(PageFrame::Containing(PhysAddr::FromRaw(below)));
  }
  return node;
}

Result<uint64_t*> Tracker::MakeBranch(uint64_t key, unsigned levels, PageFrame* made) {
  // Built from the leaf up and hung into the tree as the last step, so a failure leaves no trace.
  uint64_t* leaf = nullptr;
  for (unsigned i = 0; i < levels; ++i) {
    const Result<uint64_t*> node = AllocateNode(&made[i]);
    if (!node.ok()) {
      while (i > 0) pages_->FreePage(made[--i]);
      return node.error();
    }
    if (i == 0) {
      leaf = node.value();
    } else {
      node.value()[RadixSlot(key, i)] = made[i - 1].address().raw();
    }
  }
  return leaf;
}

void Tracker::FreeNodes(PageFrame page, unsigned level) {
  const uint64_t* node = Node(page);
  for (uint64_t i = 0; level > 0 && i < abi::kRadixTableEntries; ++i) {
    if (node[i] != 0) FreeNodes(PageFrame::Containing(PhysAddr::FromRaw(node[i])), level - 1);
  }
  pages_->FreePage(page);
}

}  // namespace khocore
