/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* How many CPUs this kernel runs on. */

#include "command_line.h"

/* CPUs in a list such as "0-3,6". */
static unsigned long long count_cpus(const char *list) {
  unsigned long long count = 0;
  while (*list >= '0' && *list <= '9') {
    char *end;
    unsigned long first = strtoul(list, &end, 10), last = first;
    if (*end == '-') last = strtoul(end + 1, &end, 10);
    if (last >= first) count += last - first + 1;
    list = *end == ',' ? end + 1 : end;
  }
  return count;
}

static unsigned long long online_cpus(void) {
  char list[256];
  if (read_file("/sys/devices/system/cpu/online", list, sizeof(list)) <= 0) return 0;
  return count_cpus(list);
}

/* CPUs that this kernel was built for (NR_CPUS). */
static unsigned long long supported_cpus(void) {
  char number[32];
  if (read_file("/sys/devices/system/cpu/kernel_max", number, sizeof(number)) <= 0) return 0;
  return strtoul(number, NULL, 10) + 1;
}
