// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/handover/incoming.h"
#include "kernel/handover/outgoing.h"
#include "kernel/rig/fault.h"
#include "khocore/page_source.h"

/// What faults get at the points of the course (kernel/rig/fault.h).

namespace handover {

/// The modes that the CPU is put into.
struct Modes {
  unsigned levels;  ///< of page tables, wanted; 0 where there is no choice
};

/// Where the tracker's nodes come from.
struct TrackerNodes {
  Generation& generation;
  khocore::PageSource* pages;
};

/// How the other CPUs are left. CPU 1 enters `loop` instead of being parked, unless it is null.
struct LeftCpu {
  Generation& generation;
  void (*loop)() = nullptr;
};

/// How devices (live_devices.h) are switched on, and which of them nobody switches off.
struct DevicePlan {
  Outgoing& outgoing;
  const char* left_on = nullptr;  ///< a kind; the fault fires if the machine has one
  const char* also = nullptr;     ///< another, left on where the first is
  /// Where devices write to in the end; null: to a page that this kernel gives up.
  khocore::PhysAddr buffer;
};

}  // namespace handover

namespace rig {

template <>
struct ContextOf<Point::kModesSetting> {
  using Type = handover::Modes;
};
template <>
struct ContextOf<Point::kModesSet> {
  using Type = handover::Modes;
};
template <>
struct ContextOf<Point::kRestored> {
  using Type = handover::Incoming;
};
template <>
struct ContextOf<Point::kTakenOver> {
  using Type = handover::Generation;
};
template <>
struct ContextOf<Point::kTrackerStarting> {
  using Type = handover::TrackerNodes;
};
template <>
struct ContextOf<Point::kPreserved> {
  using Type = handover::Outgoing;
};
template <>
struct ContextOf<Point::kSealing> {
  using Type = handover::Outgoing;
};
template <>
struct ContextOf<Point::kSealed> {
  using Type = handover::Outgoing;
};
template <>
struct ContextOf<Point::kCpusParking> {
  using Type = handover::LeftCpu;
};
template <>
struct ContextOf<Point::kDevicesStarting> {
  using Type = handover::DevicePlan;
};

}  // namespace rig
