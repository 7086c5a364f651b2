// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/types.h"

namespace khocore {

/// Lock-free hand-off of finished fragments from the CPUs that wrote them to the one that links
/// them into the fragment or root above. Publishing takes no lock and waits for nobody; linking
/// costs what there is to link, however much state hangs below.
class Publications {
 public:
  /// What is published. Belongs to the publisher and stays until it has been taken.
  struct Entry {
    const char* name;  ///< of the link
    PhysRange data;    ///< finished and preserved
    Entry* next = nullptr;
  };

  /// Any CPU, at any time. Whoever takes the entry sees everything that was written before.
  void Publish(Entry* entry);

  /// Removes and returns what was published so far, linked by `next`, in the order of the names, so
  /// that it does not depend on who was faster. One CPU at a time. Null when there is nothing.
  Entry* Take();

 private:
  Entry* last_ = nullptr;
};

}  // namespace khocore
