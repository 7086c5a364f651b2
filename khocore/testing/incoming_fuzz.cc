// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/testing/incoming_case.h"

/// libFuzzer's entry. Run it with
///     bazel run --config=fuzz //khocore/testing:incoming_fuzz --
///     "$PWD"/khocore/testing/testdata/incoming
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  khocore::RunIncomingCase({data, size});
  return 0;
}
