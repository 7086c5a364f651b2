// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include <map>
#include <string>

#include "khocore/types.h"

/// What each fuzz target defines (toolchain/fuzz.bzl): one reader of foreign bytes.
namespace fuzz {

/// Gives the reader one input, and aborts when what it answers is out of bounds or contradicts
/// another answer. Returns whether the reader made use of it.
bool RunCase(khocore::Span<const uint8_t> input);

/// Inputs that the reader makes use of, by name.
std::map<std::string, std::string> Seeds();

}  // namespace fuzz
