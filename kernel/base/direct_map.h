// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/types.h"

namespace base {

/// The direct map: `address` is RAM.
template <typename T>
T* Direct(khocore::PhysAddr address) {
  return reinterpret_cast<T*>(address.raw());
}

}  // namespace base
