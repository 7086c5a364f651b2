// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/radix_walk.h"

#include "khocore/abi/radix.h"
#include "khocore/radix_key.h"

namespace khocore {
namespace {

class Walk {
 public:
  Walk(const PhysicalMemory& memory, const RadixVisitor& visitor,
       FunctionRef<Status(const Error&)> broken)
      : memory_(memory), visitor_(visitor), broken_(broken) {}

  /// `prefix` is the part of the keys that the tables above have decided.
  Status Node(PhysAddr address, unsigned level, uint64_t prefix) {
    const Status entered = Enter(address, level);
    if (!entered.ok()) return broken_(entered.error());
    const auto* words = static_cast<const uint64_t*>(memory_.Find({address, kPageSize}));
    return level == 0 ? Leaf(address, words, prefix) : Table(words, level, prefix);
  }

 private:
  static constexpr uint64_t kFew = 8;
  static constexpr uint64_t kMany = 32;

  Status Enter(PhysAddr address, unsigned level) {
    if (address.is_null()) return Error{ErrorCode::kRadixNull, address};
    if (!address.IsAligned(kPageSize)) {
      return Error{ErrorCode::kUnaligned, address, address.raw(), kPageSize};
    }
    if (memory_.Find({address, kPageSize}) == nullptr) {
      return Error{ErrorCode::kOutsideRam, address, kPageSize};
    }
    const PageFrame node = PageFrame::Containing(address);
    for (unsigned above = level + 1; above < abi::kRadixLevels; ++above) {
      if (path_[above] == node) return Error{ErrorCode::kRadixCycle, address, level, above};
    }
    path_[level] = node;
    return visitor_.node(node, level);
  }

  template <uint64_t kCount>
  static bool AreZero(const uint64_t* words) {
    uint64_t any = 0;
#pragma clang loop unroll(full)
    for (uint64_t i = 0; i < kCount; ++i) any |= words[i];
    return any == 0;
  }

  /// The first word at or after `i` that is not zero. Nearly all words of a tree are zero.
  static uint64_t SkipZeros(const uint64_t* words, uint64_t i, uint64_t count) {
    static_assert(abi::kRadixTableEntries % kMany == 0 && kMany % kFew == 0);
    for (; i % kFew != 0; ++i) {
      if (words[i] != 0) return i;
    }
    for (; i % kMany != 0; i += kFew) {
      if (!AreZero<kFew>(words + i)) break;
    }
    while (i % kMany == 0 && i < count && AreZero<kMany>(words + i)) i += kMany;
    while (i < count && AreZero<kFew>(words + i)) i += kFew;
    while (i < count && words[i] == 0) ++i;
    return i;
  }

  Status Table(const uint64_t* slots, unsigned level, uint64_t prefix) {
    constexpr uint64_t kCount = abi::kRadixTableEntries;
    for (uint64_t i = SkipZeros(slots, 0, kCount); i < kCount;
         i = SkipZeros(slots, i + 1, kCount)) {
      const uint64_t below = prefix << abi::kRadixTableLog2 | i;
      KHOCORE_RETURN_IF_ERROR(Node(PhysAddr::FromRaw(slots[i]), level - 1, below));
    }
    return Ok{};
  }

  Status Leaf(PhysAddr address, const uint64_t* words, uint64_t prefix) {
    constexpr uint64_t kCount = abi::kRadixBitmapBits / 64;
    // The order bit of a key lies in its prefix, unless that is zero: so a leaf has one order.
    Block first;
    const bool one_order = prefix != 0 && DecodeRadixKey(prefix << abi::kRadixBitmapLog2, &first);
    for (uint64_t i = SkipZeros(words, 0, kCount); i < kCount;
         i = SkipZeros(words, i + 1, kCount)) {
      for (uint64_t bits = words[i]; bits != 0; bits &= bits - 1) {
        const uint64_t bit = i * 64 + static_cast<uint64_t>(__builtin_ctzll(bits));
        const Status visited =
            one_order ? visitor_.block({first.frame + (bit << first.order.log2()), first.order})
                      : Key(address, prefix << abi::kRadixBitmapLog2 | bit);
        if (!visited.ok()) KHOCORE_RETURN_IF_ERROR(broken_(visited.error()));
      }
    }
    return Ok{};
  }

  Status Key(PhysAddr leaf, uint64_t key) {
    Block block;
    if (!DecodeRadixKey(key, &block)) return Error{ErrorCode::kOrderRange, leaf, key};
    return visitor_.block(block);
  }

  const PhysicalMemory& memory_;
  const RadixVisitor& visitor_;
  FunctionRef<Status(const Error&)> broken_;
  PageFrame path_[abi::kRadixLevels];
};

}  // namespace

Status WalkRadix(const PhysicalMemory& memory, PhysAddr root, const RadixVisitor& visitor) {
  const auto stop = [](const Error& error) -> Status { return error; };
  return WalkRadix(memory, root, visitor, stop);
}

Status WalkRadix(const PhysicalMemory& memory, PhysAddr root, const RadixVisitor& visitor,
                 FunctionRef<Status(const Error& error)> broken) {
  return Walk(memory, visitor, broken).Node(root, abi::kRadixLevels - 1, 0);
}

}  // namespace khocore
