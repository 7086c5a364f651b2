// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <map>
#include <string>

namespace khocore {

/// The seed corpus of the fuzzer by file name: real handovers, and some broken in ways that are
/// hard to come upon.
std::map<std::string, std::string> IncomingSeeds();

}  // namespace khocore
