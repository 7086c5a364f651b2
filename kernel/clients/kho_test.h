// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/abi/vmalloc.h"
#include "khocore/result.h"

namespace core {
struct Generation;
}

namespace clients {

/// Folios in the format of Linux's test module (khocore/abi/kho_test.h), so that Linux itself can
/// tell whether they arrived.
class KhoTest {
 public:
  /// Allocates folios of all orders with content from the seed. Errors: `kOutOfMemory`.
  khocore::Status Create(core::Generation& generation, uint64_t bytes);
  khocore::Status Preserve(core::Generation& generation);
  /// Writes the subtree and adds it to the root. Nothing to do when none was created.
  khocore::Status Serialize(core::Generation& generation) const;

 private:
  khocore::Status Fill(core::Generation& generation, uint64_t bytes);

  khocore::abi::Vmalloc list_ = {};  ///< the pages with one u64 for each folio
  uint32_t folio_count_ = 0;
  uint32_t checksum_ = 0;
};

/// Checks the folios that were handed over, whoever made them, without restoring or writing
/// anything, and says so in a `kho_test` event; a wrong sum or order is a `fail` event. Nothing to
/// do when there is no such subtree. Errors: those of fragments and lists, `kNotPreserved` for a
/// folio that is no block of its order.
khocore::Status CheckKhoTest(core::Generation& generation);

}  // namespace clients
