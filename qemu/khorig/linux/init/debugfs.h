/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The handover as the kernel's own debugfs shows it, so that others who read memory can be held
   against it. */

#include "command_line.h"
#include "say.h"

/* FNV-1a with 64 bits. */
static unsigned long long digest(const char *bytes, size_t size) {
  unsigned long long sum = 0xcbf29ce484222325ULL;
  while (size--) sum = (sum ^ (unsigned char)*bytes++) * 0x100000001b3ULL;
  return sum;
}

/* Reports one file below /debug/kho; one that is not there says nothing. */
static void report_debugfs(const char *name, int is_text) {
  static char content[16 << 10];
  char path[160];
  snprintf(path, sizeof(path), "/debug/kho/%s", name);
  long size = read_file(path, content, sizeof(content));
  if (size < 0) return;
  say_begin("debugfs");
  say_text("file", name);
  say_number("size", (unsigned long long)size);
  if (is_text) {
    say_text("text", content);
  } else {
    say_hex("fnv", digest(content, (size_t)size));
  }
  say_end();
}

/* What this kernel hands over. Linux 7.4 renames scratch to bootmem (85d3615cea17). */
static void report_outgoing(void) {
  report_debugfs("out/scratch_phys", 1);
  report_debugfs("out/scratch_len", 1);
  report_debugfs("out/bootmem_phys", 1);
  report_debugfs("out/bootmem_len", 1);
  report_debugfs("out/fdt", 0);
  DIR *folder = opendir("/debug/kho/out/sub_fdts");
  if (!folder) return;
  struct dirent entry, *next;
  while (readdir_r(folder, &entry, &next) == 0 && next) {
    char name[320];
    if (entry.d_name[0] == '.') continue;
    snprintf(name, sizeof(name), "out/sub_fdts/%s", entry.d_name);
    report_debugfs(name, 0);
  }
  closedir(folder);
}
