// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace console {

/// Prints text for people to the console and the log ring, formatted as `base::Format` does.
void Print(const char* format, ...) __attribute__((format(printf, 1, 2)));

/// As `Print`, to the console alone: for what is printed while memory must not change.
void PrintConsole(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace console
