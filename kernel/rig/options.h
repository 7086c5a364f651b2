// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/rig/fault.h"

namespace rig {

/// The command line, read once (docs/abi.md has the table). Text is copied.
struct Options {
  static constexpr size_t kMaxReserved = 8;
  static constexpr size_t kMaxLa57 = 8;

  struct Reserved {
    uint64_t size;
    uint64_t alignment;
    char name[32];
  };

  char scenario[32] = "";
  uint32_t generation = 1;
  uint32_t generations = 1;
  uint64_t seed = 1;
  bool stop_at_entry = false;
  bool stop_at_refused = false;
  bool stop_at_restored = false;
  bool stop_at_settled = false;
  bool stop_at_sealed = false;
  uint32_t settle_ms = 200;  ///< of virtual time, between the stops `restored` and `settled`
  const Fault* fault = nullptr;
  uint64_t scratch_sizes[3] = {};  ///< low, global, per node; all zero when not given
  Reserved reserved[kMaxReserved] = {};
  size_t reserved_count = 0;
  bool la57[kMaxLa57] = {};  ///< by generation, and from the first again behind the last
  size_t la57_count = 0;     ///< 0: as the CPU has it
  uint32_t holes = 0;        ///< in RAM, made by the first kernel of a chain (memory/holes.h)
  uint64_t megabytes = 0;    ///< how much a scenario preserves; 0: its own choice
  uint64_t fragments = 0;    ///< how many fragments; 0: the scenario's own choice
  uint64_t operations = 0;   ///< how many steps; 0: the scenario's own choice
};

/// What is wrong with a command line, in words, and the token where.
struct OptionError {
  const char* text = nullptr;  ///< null when all is well
  char token[64] = "";
};

/// Reads a command line. Unknown options and malformed values are errors; nothing is ignored.
OptionError ParseOptions(const char* command_line, Options* options);

/// Reads an unsigned number (decimal or 0x) with an optional K, M or G. False when `text` is not
/// wholly one, or does not fit.
bool ParseSize(const char* text, size_t length, uint64_t* value);

}  // namespace rig
