// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/console.h"

#include <poll.h>
#include <unistd.h>

namespace arch {
namespace {

char line[512];
size_t length = 0;

}  // namespace

/// A system call for every line, not for every byte.
void ConsolePut(char byte) {
  line[length++] = byte;
  if (byte != '\n' && length < sizeof(line)) return;
  for (size_t done = 0; done < length;) {
    const ssize_t written = write(STDOUT_FILENO, line + done, length - done);
    if (written <= 0) break;
    done += static_cast<size_t>(written);
  }
  length = 0;
}

bool ConsoleTryGet(char* byte) {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  return poll(&input, 1, 0) == 1 && read(STDIN_FILENO, byte, 1) == 1;
}

bool ConsoleInterrupts() { return false; }
unsigned StopConsoleInterrupt() { return 0; }
void StartConsoleInterrupt() {}

}  // namespace arch
