// SPDX-License-Identifier: BSD-3-Clause
#include <stdio.h>
#include <string.h>

#include "kernel/arch/host/machine.h"
#include "kernel/kexec/linux_boot.h"
#include "khocore/abi/scratch.h"

namespace kexec {

using base::BootInfo;
using khocore::abi::ScratchArea;

const uint64_t kParametersAlignment = khocore::kPageSize;

uint64_t ParametersSize(const NextBoot& next) {
  return sizeof(host::Parameters) + next.scratch.size * sizeof(ScratchArea);
}

khocore::Status BuildParameters(const NextBoot& next, khocore::Span<uint8_t> buffer,
                                khocore::PhysAddr destination) {
  const uint64_t scratch_size = next.scratch.size * sizeof(ScratchArea);
  if (buffer.size < sizeof(host::Parameters) + scratch_size ||
      strlen(next.command_line) >= BootInfo::kMaxCommandLine) {
    return khocore::Error{khocore::ErrorCode::kNoSpace, destination, buffer.size};
  }
  host::Parameters parameters = {
      .magic = host::kParametersMagic,
      .kho_root = next.kho_root.raw(),
      .scratch_address = (destination + sizeof(host::Parameters)).raw(),
      .scratch_size = scratch_size,
      .command_line = {},
  };
  snprintf(parameters.command_line, sizeof(parameters.command_line), "%s", next.command_line);
  memcpy(buffer.data, &parameters, sizeof(parameters));
  for (size_t i = 0; i < next.scratch.size; ++i) {
    const ScratchArea area{next.scratch[i].begin.raw(), next.scratch[i].size};
    memcpy(buffer.data + sizeof(parameters) + i * sizeof(area), &area, sizeof(area));
  }
  return khocore::Ok{};
}

}  // namespace kexec
