// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/kexec/kexec.h"
#include "kernel/rig/fault.h"

/// What faults get at the points of loading the next kernel (kernel/rig/fault.h).

namespace kexec {

/// The parameters of the next kernel, not written yet.
struct PlacedParameters {
  const LoadRequest& request;
  khocore::PhysRange place;
};

}  // namespace kexec

namespace rig {

template <>
struct ContextOf<Point::kParametersPlaced> {
  using Type = kexec::PlacedParameters;
};

}  // namespace rig
