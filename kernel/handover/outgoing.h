// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/devices.h"
#include "kernel/handover/generation.h"
#include "kernel/handover/page_reserve.h"
#include "khocore/outgoing.h"
#include "khocore/result.h"
#include "khocore/tracker.h"

namespace handover {

/// The outgoing half of a generation: what the next kernel gets. First memory is preserved where it
/// lies, then the fragments are written, the root last. Nothing here can restore.
class Outgoing {
 public:
  static constexpr size_t kMaxLinks = 8;
  static constexpr size_t kMaxKept = 4;
  /// What `Open` and `Close` write in the last step: the root and the `khorig` fragment.
  static constexpr size_t kFinalPages = 2;

  /// `generation` outlives the object.
  explicit Outgoing(Generation& generation)
      : generation_(generation), reserve_(generation.allocator) {}
  Outgoing(const Outgoing&) = delete;
  Outgoing& operator=(const Outgoing&) = delete;

  /// Starts the tracker, with nodes from `nodes`, and sets `final_pages` pages aside for the last
  /// step. Errors: those of `Tracker::Create` and `PageReserve::Fill`.
  khocore::Status Begin(khocore::PageSource& nodes, size_t final_pages);
  /// Sets more pages aside. Before the last step. Errors: `PageReserve::Fill`'s.
  khocore::Status SetAside(size_t pages) { return reserve_.Fill(tracker_, pages); }
  /// Starts the last step: makes the root. From here on `AddClient` works. Errors: those of
  /// `khocore::Outgoing::Create`.
  khocore::Status Open();
  /// Ends it: writes the `khorig` fragment, if it has links, and gives back what is left in the
  /// reserve. Errors: those of fragments and of `AddClient`.
  khocore::Status Close();

  Generation& generation() const { return generation_; }
  const khocore::PhysicalMemory& physical() const { return generation_.physical; }
  khocore::Tracker& tracker() { return tracker_; }
  const khocore::Tracker& tracker() const { return tracker_; }
  /// The pages of the last step, of which each client names how many it takes.
  khocore::PageSource& final_pages() { return reserve_; }
  /// The anchor; valid from `Open` on.
  khocore::PageFrame root() const { return root_.root(); }

  /// Adds a subtree to the root, whose blob is preserved. Errors: those of
  /// `khocore::Outgoing::AddClient`.
  khocore::Status AddClient(const char* name, khocore::PhysRange blob) {
    return root_.AddClient(name, blob);
  }
  /// Adds a link below the `khorig` fragment, to data that is preserved. At any time before
  /// `Close`; `name` must stay. Errors: `kNoSpace`.
  khocore::Status AddLink(const char* name, khocore::PhysRange data);

  /// A PCI function that keeps bus mastering across the jump, with the bridges above it. Errors:
  /// `kNoSpace`.
  khocore::Status KeepDevice(arch::PciFunction function);
  khocore::Span<const arch::PciFunction> kept_devices() const { return {kept_, kept_count_}; }

  /// Pages in the ledger, for the stop `sealed`.
  uint64_t ledger_pages = 0;

 private:
  struct Link {
    const char* name;
    khocore::PhysRange data;
  };

  Generation& generation_;
  PageReserve reserve_;
  khocore::Tracker tracker_;
  khocore::Outgoing root_;
  Link links_[kMaxLinks] = {};
  size_t link_count_ = 0;
  arch::PciFunction kept_[kMaxKept] = {};
  size_t kept_count_ = 0;
};

}  // namespace handover
