// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/kexec/kexec.h"
#include "kernel/kexec/linux_boot.h"
#include "kernel/rig/fault.h"

/// What faults get at the points of loading the next kernel (kernel/rig/fault.h).

namespace kexec {

/// The parameters of the next kernel, not written yet. Its other segments are in `next`.
struct PlacedParameters {
  const LoadRequest& request;
  const NextKernel& next;
  NextBoot& boot;  ///< what they will say
  khocore::PhysRange place;
};

/// All segments, before the jump is prepared with pages from `pages`.
struct PlacedSegments {
  const LoadRequest& request;
  NextKernel& next;
  khocore::PageSource* pages;
};

/// The jump, which can still be changed in its own pages.
struct PreparedJump {
  const LoadRequest& request;
  const NextKernel& next;
};

}  // namespace kexec

namespace rig {

template <>
struct ContextOf<Point::kParametersPlaced> {
  using Type = kexec::PlacedParameters;
};
template <>
struct ContextOf<Point::kSegmentsPlaced> {
  using Type = kexec::PlacedSegments;
};
template <>
struct ContextOf<Point::kJumpPrepared> {
  using Type = kexec::PreparedJump;
};

}  // namespace rig
