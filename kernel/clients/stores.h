// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/abi/vmalloc.h"
#include "khocore/fragment.h"
#include "khocore/function_ref.h"
#include "khocore/types.h"

namespace core {
struct Generation;
}

namespace clients {

/// Named stores of any size. Their pages need not be contiguous; the list of pages is kept in
/// Linux's vmalloc form from the start, so handing a store over copies nothing.
class Stores {
 public:
  static constexpr size_t kMaxStores = 128;
  static constexpr size_t kMaxName = 32;

  struct Store {
    char name[kMaxName];
    uint64_t size;  ///< bytes
    khocore::abi::Vmalloc pages;
  };

  /// Makes a store of `size` bytes with undefined content. The pointer is good until the next
  /// `Remove`. Errors: `kNoSpace` (too many stores, name too long), `kOutOfMemory`.
  khocore::Result<Store*> Create(core::Generation& generation, const char* name, uint64_t size);
  /// Gives a store's memory back. Errors: `kNotFound`, and those of walking it.
  khocore::Status Remove(core::Generation& generation, const char* name);
  const Store* Find(const char* name) const;

  /// Calls `visit(page, index)` for each page of a store, in order.
  khocore::Status ForEachPage(
      const core::Generation& generation, const Store& store,
      khocore::FunctionRef<khocore::Status(khocore::PageFrame, uint64_t index)> visit) const;

  /// Takes all stores back. Errors: those of the fragments, of the page lists and of restoring.
  khocore::Status Restore(core::Generation& generation);
  khocore::Status Preserve(core::Generation& generation) const;
  khocore::Status PreserveOne(core::Generation& generation, const Store& store) const;
  /// Writes the fragments and links the first one into `top`.
  khocore::Status Serialize(core::Generation& generation, khocore::FragmentWriter& top) const;

  size_t count() const { return count_; }

 private:
  khocore::Status RestoreFragmentOf(core::Generation& generation, khocore::PhysAddr address,
                                    khocore::PhysAddr* next);
  khocore::Status RestoreOne(core::Generation& generation, const khocore::FragmentReader& fragment,
                             int node, const char* name);

  Store stores_[kMaxStores];
  size_t count_ = 0;
};

}  // namespace clients
