// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/publications.h"

#include <string.h>

namespace khocore {

void Publications::Publish(Entry* entry) {
  entry->next = __atomic_load_n(&last_, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(&last_, &entry->next, entry, true, __ATOMIC_RELEASE,
                                      __ATOMIC_RELAXED)) {
  }
}

Publications::Entry* Publications::Take() {
  Entry* taken = __atomic_exchange_n(&last_, nullptr, __ATOMIC_ACQUIRE);
  Entry* sorted = nullptr;
  while (taken != nullptr) {
    Entry* const entry = taken;
    taken = entry->next;
    Entry** place = &sorted;
    while (*place != nullptr && strcmp((*place)->name, entry->name) < 0) place = &(*place)->next;
    entry->next = *place;
    *place = entry;
  }
  return sorted;
}

}  // namespace khocore
