/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "command_line.h"
#include "say.h"

/* How long this kernel had nothing to do, from its own accounting: virtual time less this is
   instructions. */
static void say_idle(void) {
  char text[64];
  if (read_file("/proc/uptime", text, sizeof(text)) <= 0) return;
  const char *idle = strchr(text, ' ');
  if (!idle) return;
  unsigned long long seconds = strtoul(idle + 1, NULL, 10);
  const char *point = strchr(idle, '.');
  unsigned long long hundredths = point ? strtoul(point + 1, NULL, 10) : 0;
  say_number("idle_ms", seconds * 1000 + hundredths * 10);
}
