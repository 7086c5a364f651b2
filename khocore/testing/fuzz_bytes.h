// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <string>

#include "khocore/types.h"

namespace fuzz {

/// Takes an input apart from its front; behind its end it is zero.
class Input {
 public:
  explicit Input(khocore::Span<const uint8_t> bytes) : bytes_(bytes) {}

  template <typename T>
  T Take() {
    T value{};
    const size_t size = bytes_.size < sizeof(value) ? bytes_.size : sizeof(value);
    if (size != 0) memcpy(&value, bytes_.data, size);
    bytes_ = {bytes_.data + size, bytes_.size - size};
    return value;
  }
  khocore::Span<const uint8_t> rest() const { return bytes_; }

 private:
  khocore::Span<const uint8_t> bytes_;
};

/// The bytes of an object, for seeds.
template <typename T>
std::string BytesOf(const T& object) {
  return std::string(reinterpret_cast<const char*>(&object), sizeof(object));
}

/// Places an object in a seed.
template <typename T>
void Put(std::string* bytes, size_t at, const T& object) {
  if (bytes->size() < at + sizeof(object)) bytes->resize(at + sizeof(object));
  memcpy(bytes->data() + at, &object, sizeof(object));
}

}  // namespace fuzz
