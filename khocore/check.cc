// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/check.h"

#include <string.h>

#include "khocore/abi/handover.h"
#include "khocore/fragment_reader.h"
#include "khocore/radix_walk.h"

namespace khocore {
namespace {

/// Where the marked pages lie. They are few and far apart, or many, which are kept as one range
/// that has others between them.
class Marks {
 public:
  void Add(PageFrame page) {
    Range& last = ranges_[count_ == 0 ? 0 : count_ - 1];
    const bool touches = count_ != 0 && (page == last.end || page + 1 == last.begin);
    if (!touches && count_ < kMaxRanges) {
      ranges_[count_++] = {page, page + 1};
      return;
    }
    if (page < last.begin) last.begin = page;
    if (last.end < page + 1) last.end = page + 1;
  }
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (unsigned i = 0; i < count_; ++i) {
      visit(PhysRange{ranges_[i].begin.address(), (ranges_[i].end - ranges_[i].begin) * kPageSize});
    }
  }

 private:
  static constexpr unsigned kMaxRanges = 128;
  struct Range {
    PageFrame begin;
    PageFrame end;
  };
  Range ranges_[kMaxRanges];
  unsigned count_ = 0;
};

class Checker {
 public:
  Checker(const PhysicalMemory& memory, const Scratch& scratch, FrameTable& frames,
          FunctionRef<bool(const Error&)> report)
      : memory_(memory), scratch_(scratch), frames_(frames), report_(report) {}

  HandoverSummary Run(PhysAddr root);

 private:
  /// A fragment that is being walked, and how far.
  struct Level {
    FragmentReader fragment;
    FragmentNode node;
    uint32_t depth = 0;  ///< of `node`, the fragment's root being 0
  };

  void Found(const Error& error) { go_on_ = go_on_ && report_(error); }

  Status Mark(PageFrame page, ErrorCode again);
  void ClearMarks();

  Result<FragmentReader> OpenRoot(PhysAddr root) const;
  bool CheckTree(PageFrame root, PhysAddr map);
  Status EnterNode(PageFrame node, PageFrame root);
  void ClaimBlock(Block block);

  void CheckFragments(const FragmentReader& root);
  void CheckLink(const Level& level);
  Status CheckBlob(PhysRange blob) const;
  Status EnterFragment(PhysRange blob);
  void Push(const FragmentReader& fragment);

  const PhysicalMemory& memory_;
  const Scratch& scratch_;
  FrameTable& frames_;
  FunctionRef<bool(const Error&)> report_;
  bool go_on_ = true;
  HandoverSummary summary_;
  Marks marks_;
  Level levels_[kMaxFragmentDepth];
  unsigned level_count_ = 0;
};

HandoverSummary Checker::Run(PhysAddr root) {
  const Result<FragmentReader> reader = OpenRoot(root);
  if (!reader.ok()) {
    Found(reader.error());
    return summary_;
  }
  const Result<uint64_t> map =
      reader.value().PropertyU64(FragmentReader::root(), abi::kMemoryMapProperty);
  const PageFrame page = PageFrame::Containing(root);
  if (!map.ok()) {
    Error error = map.error();
    if (error.code == ErrorCode::kNotFound) error.code = ErrorCode::kMapMissing;
    Found(error);
  } else if (CheckTree(page, PhysAddr::FromRaw(map.value())) && go_on_) {
    if (frames_.state(page) != FrameState::kPreserved) {
      Found({ErrorCode::kBlobNotPreserved, root, kPageSize});
    }
    CheckFragments(reader.value());
  }
  ClearMarks();
  return summary_;
}

/// Errors: `again` when the page was marked before, and `FrameTable::SetScratch`'s.
Status Checker::Mark(PageFrame page, ErrorCode again) {
  if (frames_.in_scratch(page)) return Error{again, page.address()};
  KHOCORE_RETURN_IF_ERROR(frames_.SetScratch({page.address(), kPageSize}));
  marks_.Add(page);
  return Ok{};
}

void Checker::ClearMarks() {
  // What is marked has its bytes already, so neither needs a page.
  marks_.ForEach([this](PhysRange marked) { (void)frames_.ClearScratch(marked); });
  for (size_t i = 0; i < scratch_.area_count(); ++i) (void)frames_.SetScratch(scratch_.area(i));
}

Result<FragmentReader> Checker::OpenRoot(PhysAddr root) const {
  if (!root.IsAligned(kPageSize)) {
    return Error{ErrorCode::kUnaligned, root, root.raw(), kPageSize};
  }
  if (memory_.Find({root, kPageSize}) == nullptr) {
    return Error{ErrorCode::kOutsideRam, root, kPageSize};
  }
  if (scratch_.Overlaps({root, kPageSize})) {
    return Error{ErrorCode::kInsideScratch, root, kPageSize};
  }
  const Result<FragmentReader> reader = FragmentReader::Open(memory_, {root, kPageSize});
  if (!reader.ok()) return reader.error();
  const auto compatible = reader.value().Property(FragmentReader::root(), abi::kCompatibleProperty);
  if (!compatible.ok()) return Error{ErrorCode::kCompatibleMissing, compatible.error().where};
  const Span<const uint8_t> found = compatible.value();
  if (found.size != sizeof(abi::kCompatible) ||
      memcmp(found.data, abi::kCompatible, sizeof(abi::kCompatible)) != 0) {
    return Error{ErrorCode::kCompatibleMismatch, reader.value().NodeAddress(FragmentReader::root()),
                 found.size, sizeof(abi::kCompatible)};
  }
  return reader;
}

/// False when the tree itself is broken.
bool Checker::CheckTree(PageFrame root, PhysAddr map) {
  bool whole = true;
  const auto node = [&](PageFrame page, unsigned) { return EnterNode(page, root); };
  const auto block = [&](Block claimed) -> Status {
    ClaimBlock(claimed);
    if (go_on_) return Ok{};
    return Error{ErrorCode::kOverlap,
                 claimed.begin()};  // ends the walk; the cause is found already
  };
  const auto broken = [&](const Error& error) -> Status {
    whole = false;
    Found(error);
    if (go_on_) return Ok{};
    return error;
  };
  (void)WalkRadix(memory_, map, {node, block}, broken);
  return whole;
}

Status Checker::EnterNode(PageFrame node, PageFrame root) {
  const PhysRange page{node.address(), kPageSize};
  if (scratch_.Overlaps(page)) return Error{ErrorCode::kInsideScratch, page.begin, page.size};
  if (node == root) return Error{ErrorCode::kOverlap, page.begin, root.address().raw()};
  switch (frames_.state(node)) {
    case FrameState::kNotRam:
      return Error{ErrorCode::kOutsideRam, page.begin, page.size};
    case FrameState::kAllocated:
    case FrameState::kPreserved:
      return Error{ErrorCode::kOverlap, page.begin, page.begin.raw()};
    case FrameState::kFree:
      break;
  }
  KHOCORE_RETURN_IF_ERROR(Mark(node, ErrorCode::kRadixCycle));
  ++summary_.nodes;
  return Ok{};
}

void Checker::ClaimBlock(Block block) {
  const Status claimed = frames_.ClaimPreserved(block);
  if (claimed.ok()) {
    ++summary_.blocks;
    summary_.pages += block.order.pages();
    return;
  }
  Error error = claimed.error();
  if (error.code == ErrorCode::kInsideScratch && !scratch_.Overlaps({error.where, kPageSize})) {
    error.code = ErrorCode::kOverlap;  // a marked page: a node
  }
  Found(error);
}

void Checker::CheckFragments(const FragmentReader& root) {
  const Status marked = Mark(PageFrame::Containing(root.address()), ErrorCode::kFragmentCycle);
  if (!marked.ok()) return Found(marked.error());
  Push(root);
  while (level_count_ > 0 && go_on_) {
    Level& level = levels_[level_count_ - 1];
    if (level.fragment.NextNode(&level.node, &level.depth)) {
      CheckLink(level);
    } else {
      --level_count_;
    }
  }
}

void Checker::CheckLink(const Level& level) {
  const FragmentReader& fragment = level.fragment;
  const bool is_client = level_count_ == 1 && level.depth == 1;
  if (is_client) ++summary_.clients;
  if (!is_client && !fragment.IsLink(level.node)) return;
  const Result<PhysRange> blob = fragment.Link(level.node);
  if (!blob.ok()) return Found(blob.error());
  const Status preserved = CheckBlob(blob.value());
  if (!preserved.ok()) return Found(preserved.error());
  if (!LooksLikeFragment(memory_, blob.value())) return;
  const Status entered = EnterFragment(blob.value());
  if (!entered.ok()) Found(entered.error());
}

Status Checker::CheckBlob(PhysRange blob) const {
  if (memory_.Find({blob.begin, 1}) == nullptr) {
    return Error{ErrorCode::kOutsideRam, blob.begin, blob.size};
  }
  if (scratch_.Overlaps({blob.begin, 1})) {
    return Error{ErrorCode::kInsideScratch, blob.begin, blob.size};
  }
  const PageFrame first = PageFrame::Containing(blob.begin);
  if (frames_.state(first) != FrameState::kPreserved) {
    return Error{ErrorCode::kBlobNotPreserved, blob.begin, blob.size};
  }
  PageFrame frame = first;
  uint64_t preserved = 0;
  while (preserved < blob.size && frames_.state(frame) == FrameState::kPreserved) {
    // Whole blocks at a time, because many links may name the same large blob.
    const Block block = frames_.BlockOf(frame);
    frame = block.frame + block.order.pages();
    preserved = frame.address() - blob.begin;
  }
  if (preserved >= blob.size) return Ok{};
  return Error{ErrorCode::kBlobSizeRange, blob.begin, blob.size, preserved};
}

Status Checker::EnterFragment(PhysRange blob) {
  KHOCORE_RETURN_IF_ERROR(Mark(PageFrame::Containing(blob.begin), ErrorCode::kFragmentCycle));
  if (level_count_ == kMaxFragmentDepth) {
    return Error{ErrorCode::kFragmentDepth, blob.begin, level_count_ + 1, kMaxFragmentDepth};
  }
  const Result<FragmentReader> reader = FragmentReader::Open(memory_, blob);
  if (!reader.ok()) return reader.error();
  Push(reader.value());
  return Ok{};
}

void Checker::Push(const FragmentReader& fragment) {
  levels_[level_count_++] = {fragment, fragment.root(), 0};
  ++summary_.fragments;
  if (level_count_ > summary_.fragment_depth) summary_.fragment_depth = level_count_;
}

}  // namespace

HandoverSummary CheckHandover(const PhysicalMemory& memory, PhysAddr root, const Scratch& scratch,
                              FrameTable& frames, FunctionRef<bool(const Error&)> report) {
  return Checker(memory, scratch, frames, report).Run(root);
}

}  // namespace khocore
