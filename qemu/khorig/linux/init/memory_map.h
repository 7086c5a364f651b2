/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The memory map that this kernel goes by: the outermost ranges of /proc/iomem. */

#include "command_line.h"
#include "say.h"

#define RANGES_A_LINE 16 /* an event is one write */

/* Cuts a line "3fffe000-3fffffff : Reserved" up. Returns its name, NULL for any other line. */
static char *split_range(char *text, unsigned long long *begin, unsigned long long *last) {
  char *at;
  *begin = strtoull(text, &at, 16);
  if (at == text || *at != '-') return NULL;
  *last = strtoull(at + 1, &at, 16);
  return strncmp(at, " : ", 3) || *last < *begin ? NULL : at + 3;
}

/* Whether this kernel is meant to have less than there is. */
static int is_limited(void) {
  return *option("mem=", NULL) || *option("memmap=", NULL) || access("/proc/vmcore", F_OK) == 0;
}

static void say_ranges(char **at) {
  say_begin("memory-map");
  say_key("ranges");
  put("[");
  for (unsigned count = 0; **at && count < RANGES_A_LINE;) {
    char *text = *at, *end = strchr(text, '\n');
    unsigned long long begin, last;
    if (end) *end = '\0';
    *at = end ? end + 1 : text + strlen(text);
    char *name = split_range(text, &begin, &last); /* those inside another begin with a blank */
    if (!name || *text == ' ') continue;
    char numbers[64];
    snprintf(numbers, sizeof(numbers), "%s[\"0x%llx\",\"0x%llx\"", count++ ? "," : "", begin,
             last - begin + 1);
    put(numbers);
    put(",");
    put_quoted(name);
    put("]");
  }
  put("]");
  say_bool("last", !**at);
  say_bool("limited", is_limited());
  say_end();
}

static void report_memory_map(void) {
  static char text[1 << 16];
  if (read_file("/proc/iomem", text, sizeof(text)) <= 0) return;
  char *at = text;
  do {
    say_ranges(&at);
  } while (*at);
}
