/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Numbers and switches in files of proc, sysfs and debugfs. */

#include "command_line.h"

#define NO_NUMBER (~0ULL)

/* Writes a word. Returns 0 or the errno. */
static int write_word(const char *path, const char *word) {
  int file = open(path, O_WRONLY);
  if (file < 0) return errno;
  int error = write(file, word, strlen(word)) < 0 ? errno : 0;
  close(file);
  return error;
}

static int write_number(const char *path, unsigned long long number) {
  char text[24];
  snprintf(text, sizeof(text), "%llu", number);
  return write_word(path, text);
}

/* The number that a file begins with; NO_NUMBER where there is none. */
static unsigned long long read_number(const char *path) {
  char text[64];
  if (read_file(path, text, sizeof(text)) <= 0 || text[0] < '0' || text[0] > '9') return NO_NUMBER;
  return strtoull(text, NULL, 10);
}

/* Bytes in a line of /proc/meminfo, such as "MemFree:"; 0 where it is not. */
static unsigned long long memory_info(const char *name) {
  static char text[4096];
  if (read_file("/proc/meminfo", text, sizeof(text)) <= 0) return 0;
  const char *at = strstr(text, name);
  if (!at) return 0;
  for (at += strlen(name); *at == ' '; at++) {
  }
  return strtoull(at, NULL, 10) << 10;
}
