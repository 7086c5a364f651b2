// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/base/device_tree.h"
#include "kernel/base/node_map.h"
#include "khocore/types.h"

namespace arch {

/// The devices that the kernel itself uses or has to switch off, as the device tree names them.
struct Machine {
  enum class Gic : uint8_t { kNone, kV2, kV3 };
  enum class Psci : uint8_t { kNone, kHvc, kSmc };  ///< the call by which firmware is reached

  khocore::PhysRange console;  ///< PL011 that stdout-path names, or empty
  Gic gic = Gic::kNone;
  khocore::PhysRange gic_distributor;
  khocore::PhysRange gic_cpu;             ///< version 2: the CPU interface
  khocore::PhysRange gic_redistributors;  ///< version 3: the first region of them
  static constexpr size_t kMaxIts = 8;
  khocore::PhysRange its[kMaxIts];  ///< version 3: the control registers of each ITS
  size_t its_count = 0;
  khocore::PhysRange pci;  ///< configuration space (ECAM) of buses from `pci_first_bus`, or empty
  unsigned pci_first_bus = 0;
  /// Where 32-bit memory of the PCI bus is the same for the CPU, or empty
  khocore::PhysRange pci_memory;
  khocore::PhysRange smmu;  ///< registers of the first SMMUv3, or empty

  static constexpr size_t kMaxVirtio = 64;
  khocore::PhysRange virtio[kMaxVirtio];  ///< each place for a virtio-mmio device
  size_t virtio_count = 0;

  static constexpr size_t kMaxCpus = 64;
  base::NodeMap nodes;           ///< NUMA nodes of memory
  uint64_t cpus[kMaxCpus] = {};  ///< MPIDR of each
  size_t cpu_count = 0;          ///< that the tree has, whether there was room for them or not
  Psci psci = Psci::kNone;
};

/// Reads the devices from `tree`; reports to `note` those that cannot be used.
Machine ReadMachine(const base::DeviceTree& tree, base::Note note);

/// The machine this kernel runs on. Empty until boot code has filled it in.
extern Machine this_machine;

}  // namespace arch
