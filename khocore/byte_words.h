// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "khocore/types.h"

namespace khocore {

// Eight bytes are handled at once: blocks have many frames, and RAM has many chunks.
inline constexpr size_t kWord = sizeof(uint64_t);
constexpr uint64_t Repeat(uint8_t byte) { return byte * uint64_t{0x0101010101010101}; }

/// Bytes are read and written as aligned words: not all machines take others.
using Word = uint64_t __attribute__((may_alias));
inline uint64_t Load(const uint8_t* at) { return *reinterpret_cast<const Word*>(at); }
inline void Store(uint8_t* at, uint64_t word) { *reinterpret_cast<Word*>(at) = word; }
inline bool IsAligned(const uint8_t* at) { return reinterpret_cast<uintptr_t>(at) % kWord == 0; }

/// Calls `update` for all of `bytes`, for as many as possible eight at a time.
template <typename Update>
inline void UpdateWords(Span<uint8_t> bytes, Update update) {
  const auto update_byte = [=](uint8_t& byte) { byte = static_cast<uint8_t>(update(byte)); };
  uint8_t* at = bytes.begin();
  for (; at != bytes.end() && !IsAligned(at); ++at) update_byte(*at);
  uint8_t* const last = bytes.end() - static_cast<size_t>(bytes.end() - at) % kWord;
#pragma clang loop unroll_count(8)
  for (; at != last; at += kWord) Store(at, update(Load(at)));
  for (; at != bytes.end(); ++at) update_byte(*at);
}

/// byte = (byte & keep) | add, for all of `bytes`.
inline void Update(Span<uint8_t> bytes, uint8_t keep, uint8_t add) {
  const uint64_t keep_word = Repeat(keep);
  const uint64_t add_word = Repeat(add);
  // An instruction a word where the machine has one for it: marks are set more often than moved.
  if (keep == 0) {
    memset(bytes.data, add, bytes.size);
  } else if ((keep | add) == 0xff) {
    UpdateWords(bytes, [=](uint64_t word) { return word | add_word; });
  } else {
    UpdateWords(bytes, [=](uint64_t word) { return (word & keep_word) | add_word; });
  }
}

/// The index of the first byte with (byte & mask) != want, or the size.
inline size_t FindOtherByte(Span<const uint8_t> bytes, uint8_t mask, uint8_t want) {
  constexpr size_t kTurn = 8 * kWord;
  const uint8_t* at = bytes.begin();
  const uint8_t* const end = bytes.end();
  const uint64_t mask_word = Repeat(mask);
  const uint64_t want_word = Repeat(want);
  for (; at != end; ++at) {
    if (IsAligned(at)) {
      while (end - at >= static_cast<ptrdiff_t>(kTurn)) {
        uint64_t other = 0;
#pragma clang loop unroll(full)
        for (size_t i = 0; i < kTurn; i += kWord) other |= Load(at + i) ^ want_word;
        if ((other & mask_word) != 0) break;
        at += kTurn;
      }
      while (end - at >= static_cast<ptrdiff_t>(kWord) && (Load(at) & mask_word) == want_word) {
        at += kWord;
      }
      if (at == end) break;
    }
    if ((*at & mask) != want) break;
  }
  return static_cast<size_t>(at - bytes.begin());
}

/// The index of the first byte that is `wanted`, which has the highest bit, or the size.
inline size_t FindByte(Span<const uint8_t> bytes, uint8_t wanted) {
  const uint8_t* at = bytes.begin();
  while (at != bytes.end()) {
    // Few bytes have that bit.
    at += FindOtherByte({at, static_cast<size_t>(bytes.end() - at)}, wanted & 0x80, 0);
    while (at != bytes.end() && (*at & 0x80) != 0) {
      if (*at == wanted) return static_cast<size_t>(at - bytes.begin());
      ++at;
    }
  }
  return bytes.size;
}

}  // namespace khocore
