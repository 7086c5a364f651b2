// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/edu.h"

#include "kernel/arch/cpu.h"
#include "kernel/arch/mmu.h"
#include "kernel/drivers/pci.h"
#include "kernel/drivers/pci_memory.h"

namespace drivers {

using arch::PciFunction;
using arch::ReadDevice;
using arch::WriteDevice;
using khocore::Error;
using khocore::ErrorCode;
using khocore::Ok;
using khocore::PhysAddr;
using khocore::Result;
using khocore::Status;

namespace {

constexpr uint64_t kIdentification = 0x00;
constexpr uint64_t kDmaSource = 0x80;
constexpr uint64_t kDmaDestination = 0x88;
constexpr uint64_t kDmaCount = 0x90;
constexpr uint64_t kDmaCommand = 0x98;

constexpr uint32_t kIsEdu = 0xed;  // below the version
constexpr uint32_t kIsEduMask = 0xffff;
constexpr uint32_t kStart = 1;  // set until the transfer is over
constexpr uint32_t kToMemory = 2;
constexpr uint64_t kBuffer = 0x40000;  // where the engine sees it
constexpr unsigned kRegisterBar = 0;

Status Map(PhysAddr registers) { return arch::MapDevice({registers, Edu::kRegisterBytes}); }

}  // namespace

Result<Edu> Edu::Find() {
  AssignPciMemory();
  PciFunction function;
  if (!FindPciFunction(kPciId, &function)) return Error{ErrorCode::kNotFound};
  const Result<PhysAddr> registers = PciMemoryOf(function, kRegisterBar);
  if (!registers.ok()) return registers.error();
  KHOCORE_RETURN_IF_ERROR(Map(registers.value()));
  OpenPciFunction(function);
  const Edu edu(function, registers.value());
  KHOCORE_RETURN_IF_ERROR(edu.Check());
  return edu;
}

Result<Edu> Edu::TakeOver(PciFunction function, PhysAddr registers) {
  const arch::PciBuses buses = arch::FindPciBuses();
  const bool is_reachable = function.bus - buses.first < buses.count;
  if (!is_reachable || arch::ReadPciConfig(function, 0) != kPciId) {
    return Error{ErrorCode::kNotFound, registers};
  }
  const Result<PhysAddr> found = PciMemoryOf(function, kRegisterBar);
  if (!found.ok()) return found.error();
  if (!(found.value() == registers)) {
    return Error{ErrorCode::kNotFound, registers, found.value().raw(), registers.raw()};
  }
  KHOCORE_RETURN_IF_ERROR(Map(registers));
  const Edu edu(function, registers);
  KHOCORE_RETURN_IF_ERROR(edu.Check());
  return edu;
}

Status Edu::Check() const {
  const uint32_t id = ReadDevice(registers_ + kIdentification);
  if ((id & kIsEduMask) != kIsEdu) return Error{ErrorCode::kMagic, registers_, id, kIsEdu};
  return Ok{};
}

void Edu::Start(uint64_t from, uint64_t to, uint32_t bytes, uint32_t command) const {
  // A write of half a register clears the other half.
  WriteDevice(registers_ + kDmaSource, static_cast<uint32_t>(from));
  WriteDevice(registers_ + kDmaDestination, static_cast<uint32_t>(to));
  WriteDevice(registers_ + kDmaCount, bytes);
  WriteDevice(registers_ + kDmaCommand, command | kStart);
}

void Edu::StartLoad(PhysAddr memory, uint32_t offset, uint32_t bytes) const {
  Start(memory.raw(), kBuffer + offset, bytes, 0);
}

void Edu::StartStore(PhysAddr memory, uint32_t offset, uint32_t bytes) const {
  Start(kBuffer + offset, memory.raw(), bytes, kToMemory);
}

uint64_t Edu::EndOfTransfer() {
  constexpr uint64_t kMillisecond = 1'000'000;
  const uint64_t now = arch::Counter();
  return now - now % kMillisecond + kTransferNanoseconds;
}

bool Edu::Wait() const {
  // A look takes QEMU's big lock, and a pause ends the block of instructions that it runs.
  constexpr unsigned kStepsPerLook = 50'000;
  const uint64_t begun = arch::Counter();
  while (IsBusy()) {
    if (arch::Counter() - begun > 10 * kTransferNanoseconds) return false;
    for (unsigned i = 0; i < kStepsPerLook; ++i) asm volatile("");
  }
  return true;
}

bool Edu::IsBusy() const { return (ReadDevice(registers_ + kDmaCommand) & kStart) != 0; }

}  // namespace drivers
