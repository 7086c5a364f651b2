// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/handover/client.h"
#include "khocore/abi/vmalloc.h"
#include "khocore/fragment_reader.h"
#include "khocore/function_ref.h"
#include "khocore/types.h"

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
  khocore::Result<Store*> Create(handover::Generation& generation, const char* name, uint64_t size);
  /// Frees a store. Errors: `kNotFound`, and those of walking it.
  khocore::Status Remove(handover::Generation& generation, const char* name);
  const Store* Find(const char* name) const;

  /// Calls `visit(page, index)` for each page of a store, in order.
  static khocore::Status ForEachPage(
      const khocore::PhysicalMemory& physical, const Store& store,
      khocore::FunctionRef<khocore::Status(khocore::PageFrame, uint64_t index)> visit);

  /// Takes all stores back. Errors: those of the fragments, of the page lists and of restoring.
  khocore::Status Restore(handover::Incoming& incoming);
  /// Preserves all stores, and sets the pages of their fragments aside, with room for one more
  /// store. Errors: those of the page lists and of `Outgoing::SetAside`.
  khocore::Status Preserve(handover::Outgoing& outgoing) const;
  static khocore::Status PreserveOne(handover::Outgoing& outgoing, const Store& store);
  /// Writes the fragments and links the first one.
  khocore::Status Serialize(handover::Outgoing& outgoing) const;

 private:
  khocore::Status RestoreFragmentOf(handover::Incoming& incoming, khocore::PhysRange blob,
                                    khocore::PhysRange* next);
  khocore::Status RestoreOne(handover::Incoming& incoming, const khocore::FragmentReader& fragment,
                             khocore::FragmentNode node, const char* name);

  Store stores_[kMaxStores] = {};
  size_t count_ = 0;
};
inline Stores stores;

/// Of the first fragment; `Preserve` sets more aside.
inline constexpr size_t kStoresFinalPages = 1;

inline constexpr handover::Client kStores = {
    .name = "stores",
    .final_pages = kStoresFinalPages,
    .restore = [](handover::Incoming& incoming) { return stores.Restore(incoming); },
    .preserve = [](handover::Outgoing& outgoing) { return stores.Preserve(outgoing); },
    .serialize = [](handover::Outgoing& outgoing) { return stores.Serialize(outgoing); }};

}  // namespace clients
