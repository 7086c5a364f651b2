// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "khocore/abi/geometry.h"

namespace khocore {

inline constexpr unsigned kPageShift = abi::kGeometry.page_shift;
inline constexpr uint64_t kPageSize = uint64_t{1} << kPageShift;

/// A physical address in bytes.
class PhysAddr {
 public:
  constexpr PhysAddr() = default;
  static constexpr PhysAddr FromRaw(uint64_t raw) { return PhysAddr(raw); }
  constexpr uint64_t raw() const { return raw_; }
  constexpr bool is_null() const { return raw_ == 0; }
  constexpr bool IsAligned(uint64_t alignment) const { return (raw_ & (alignment - 1)) == 0; }

  friend constexpr PhysAddr operator+(PhysAddr a, uint64_t bytes) {
    return PhysAddr(a.raw_ + bytes);
  }
  friend constexpr uint64_t operator-(PhysAddr a, PhysAddr b) { return a.raw_ - b.raw_; }
  friend constexpr bool operator==(PhysAddr, PhysAddr) = default;
  friend constexpr bool operator<(PhysAddr a, PhysAddr b) { return a.raw_ < b.raw_; }
  friend constexpr bool operator<=(PhysAddr a, PhysAddr b) { return a.raw_ <= b.raw_; }

 private:
  explicit constexpr PhysAddr(uint64_t raw) : raw_(raw) {}
  uint64_t raw_ = 0;
};

/// Larger blocks would be larger than any machine: no tracker, radix key or frame table has them.
inline constexpr unsigned kMaxOrder = 30;

/// The log2 of a block's size in pages.
class Order {
 public:
  constexpr Order() = default;
  static constexpr Order FromLog2(unsigned log2) { return Order(static_cast<uint8_t>(log2)); }
  constexpr unsigned log2() const { return log2_; }
  constexpr uint64_t pages() const { return uint64_t{1} << log2_; }
  constexpr uint64_t bytes() const { return pages() << kPageShift; }
  friend constexpr bool operator==(Order, Order) = default;

 private:
  explicit constexpr Order(uint8_t log2) : log2_(log2) {}
  uint8_t log2_ = 0;
};

/// The number of a page frame: a physical address divided by the page size.
class PageFrame {
 public:
  constexpr PageFrame() = default;
  static constexpr PageFrame FromNumber(uint64_t number) { return PageFrame(number); }
  /// The frame that `address` lies in.
  static constexpr PageFrame Containing(PhysAddr address) {
    return PageFrame(address.raw() >> kPageShift);
  }
  constexpr uint64_t number() const { return number_; }
  constexpr PhysAddr address() const { return PhysAddr::FromRaw(number_ << kPageShift); }
  friend constexpr PageFrame operator+(PageFrame f, uint64_t pages) {
    return PageFrame(f.number_ + pages);
  }
  friend constexpr uint64_t operator-(PageFrame a, PageFrame b) { return a.number_ - b.number_; }
  friend constexpr bool operator==(PageFrame, PageFrame) = default;
  friend constexpr bool operator<(PageFrame a, PageFrame b) { return a.number_ < b.number_; }

 private:
  explicit constexpr PageFrame(uint64_t number) : number_(number) {}
  uint64_t number_ = 0;
};

/// 2^order physically contiguous pages, aligned to their size.
struct Block {
  PageFrame frame;
  Order order;

  constexpr PhysAddr begin() const { return frame.address(); }
  constexpr PhysAddr end() const { return frame.address() + order.bytes(); }
  constexpr uint64_t bytes() const { return order.bytes(); }
  constexpr bool IsAligned() const { return (frame.number() & (order.pages() - 1)) == 0; }
  friend constexpr bool operator==(const Block&, const Block&) = default;
};

/// `size` bytes of physical memory from `begin`. Ranges that come from outside may wrap; every
/// question below answers without overflow.
struct PhysRange {
  PhysAddr begin;
  uint64_t size = 0;

  constexpr PhysAddr end() const { return begin + size; }
  constexpr bool Wraps() const { return size > ~uint64_t{0} - begin.raw(); }
  constexpr bool Contains(PhysRange inner) const {
    return inner.begin.raw() >= begin.raw() && inner.begin.raw() - begin.raw() <= size &&
           inner.size <= size - (inner.begin.raw() - begin.raw());
  }
  constexpr bool Overlaps(PhysRange other) const {
    return begin.raw() < other.begin.raw() ? other.begin.raw() - begin.raw() < size && other.size
                                           : begin.raw() - other.begin.raw() < other.size && size;
  }
  friend constexpr bool operator==(const PhysRange&, const PhysRange&) = default;
};

/// The multiple of `alignment`, a power of two, at or below `value`.
constexpr uint64_t AlignDown(uint64_t value, uint64_t alignment) {
  return value & ~(alignment - 1);
}
/// The multiple of `alignment`, a power of two, at or above `value`. Where that would be 2^64 it is
/// the last one below, so the result never wraps: a bad size stays too large, and a bad range ends
/// where it begins.
constexpr uint64_t AlignUp(uint64_t value, uint64_t alignment) {
  const uint64_t last = AlignDown(~uint64_t{0}, alignment);
  return value > last ? last : (value + alignment - 1) & ~(alignment - 1);
}

/// The whole pages that `range` touches, cut off at the last page of the address space, which they
/// never reach: so they do not wrap, even if `range` does. None for an empty range there.
constexpr PhysRange WholePages(PhysRange range) {
  const uint64_t begin = AlignDown(range.begin.raw(), kPageSize);
  const uint64_t end = AlignUp(range.Wraps() ? ~uint64_t{0} : range.end().raw(), kPageSize);
  return {PhysAddr::FromRaw(begin), end - begin};
}

/// The first of the fewest aligned blocks that make up `range`, which is a page or more and begins
/// with one.
constexpr Block FirstBlock(PhysRange range) {
  const PageFrame frame = PageFrame::Containing(range.begin);
  unsigned order = 63 - static_cast<unsigned>(__builtin_clzll(range.size >> kPageShift));
  if (frame.number() != 0) {
    const unsigned alignment = static_cast<unsigned>(__builtin_ctzll(frame.number()));
    if (alignment < order) order = alignment;
  }
  if (order > kMaxOrder) order = kMaxOrder;
  return {frame, Order::FromLog2(order)};
}

/// A view of `size` objects of type `T` that somebody else owns.
template <typename T>
struct Span {
  T* data = nullptr;
  size_t size = 0;

  constexpr T* begin() const { return data; }
  constexpr T* end() const { return data + size; }
  constexpr T& operator[](size_t i) const { return data[i]; }
};

}  // namespace khocore
