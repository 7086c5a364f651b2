// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/types.h"

namespace arch {

/// The RAM of the machine that host tests run on, at its place and zero, for as long as this object
/// lives. Child processes share it until `Detach`.
class TestRam {
 public:
  TestRam();
  ~TestRam();
  TestRam(const TestRam&) = delete;
  TestRam& operator=(const TestRam&) = delete;

  /// From here on each process writes to its own copy.
  void Detach();

  static khocore::PhysRange Range();

 private:
  int file_;
};

}  // namespace arch
