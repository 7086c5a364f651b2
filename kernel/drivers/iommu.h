// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/arch/devices.h"
#include "khocore/function_ref.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace drivers {

/// Gives a block of that order for tables. Its content may be anything.
using TableSource = khocore::FunctionRef<khocore::Result<khocore::PageFrame>(khocore::Order)>;

/// The machine's IOMMU with translation on: Intel VT-d (rev. 3.4, legacy mode) or Arm SMMUv3 (IHI
/// 0070, stage 1). One PCI function reaches one page, at another address than the page's own; every
/// other access of a device is a fault. The tables lie in pages that stay where they are for as
/// long as it is on: the registers that name them do not change.
class Iommu {
 public:
  static constexpr size_t kMaxTables = 12;

  Iommu() = default;

  /// Switches it on at `place`, with tables from `pages` that let `function` reach `page` at the
  /// bus address `at`. Errors: those of `pages` and `MapDevice`; `kNoSpace` for a function or an
  /// address that these tables do not reach; `kVersion` when the hardware cannot do it or does not
  /// answer.
  static khocore::Result<Iommu> SwitchOn(arch::IommuPlace place, arch::PciFunction function,
                                         khocore::PhysAddr at, khocore::PageFrame page,
                                         TableSource pages);
  /// One that another kernel has left on, with the tables at `root`: nothing is written. Errors:
  /// those of `MapDevice`, and `kNotFound` when it is off or has other tables.
  static khocore::Result<Iommu> TakeOver(arch::IommuPlace place, khocore::PhysAddr root);

  arch::IommuPlace place() const { return place_; }
  /// The topmost table, as the registers have it.
  khocore::PhysAddr root() const { return root_; }
  /// Every block of tables, the root's first. Only after `SwitchOn`.
  khocore::Span<const khocore::Block> tables() const { return {tables_, table_count_}; }

 private:
  explicit Iommu(arch::IommuPlace place) : place_(place) {}

  /// A zeroed block.
  khocore::Result<uint64_t> Take(TableSource pages, khocore::Order order = khocore::Order());
  /// Three levels of tables of 4 KiB pages, from the topmost to the page. `table` and `leaf` are
  /// the bits of an entry. Returns the address of the topmost.
  khocore::Result<uint64_t> MapPage(TableSource pages, khocore::PhysAddr at,
                                    khocore::PageFrame page, uint64_t table, uint64_t leaf);
  khocore::Status SwitchOnVtd(arch::PciFunction function, khocore::PhysAddr at,
                              khocore::PageFrame page, TableSource pages);
  khocore::Status SwitchOnSmmu(arch::PciFunction function, khocore::PhysAddr at,
                               khocore::PageFrame page, TableSource pages);

  arch::IommuPlace place_ = {};
  khocore::PhysAddr root_;
  khocore::Block tables_[kMaxTables] = {};
  size_t table_count_ = 0;
};

}  // namespace drivers
