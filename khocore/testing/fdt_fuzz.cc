// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/testing/fdt_case.h"

/// libFuzzer's entry. Run it with
///     bazel run --config=fuzz //khocore/testing:fdt_fuzz -- "$PWD"/khocore/testing/testdata/fdt
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)khocore::RunFdtCase({data, size});
  return 0;
}
