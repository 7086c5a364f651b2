/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the rig tells a Linux peer: options khorig.NAME=VALUE of the kernel's command line. */

static char command_line[4096];

/* Reads up to size - 1 bytes of a file and terminates them. Returns the length, or -1. */
static long read_file(const char *path, char *to, size_t size) {
  int file = open(path, O_RDONLY);
  if (file < 0) return -1;
  size_t have = 0;
  ssize_t got;
  while (have < size - 1 && (got = read(file, to + have, size - 1 - have)) > 0) have += (size_t)got;
  close(file);
  to[have] = '\0';
  return (long)have;
}

/* The value of the option `name` (with its '='), up to the next blank; "" when it is not there.
   Static storage, overwritten by the next call. `from` says where to go on for the next of that
   name; may be null. */
static const char *option(const char *name, const char **from) {
  static char value[256];
  const char *at = from && *from ? *from : command_line;
  size_t size = strlen(name);
  while (*at) {
    while (*at == ' ' || *at == '\n') at++;
    const char *end = at;
    while (*end && *end != ' ' && *end != '\n') end++;
    if ((size_t)(end - at) >= size && !memcmp(at, name, size)) {
      size_t bytes = (size_t)(end - at) - size;
      if (bytes >= sizeof(value)) bytes = sizeof(value) - 1;
      memcpy(value, at + size, bytes);
      value[bytes] = '\0';
      if (from) *from = end;
      return value;
    }
    at = end;
  }
  value[0] = '\0';
  return value;
}

/* Whether the word `what` is in the value of `name`, words having commas between them. */
static int option_has(const char *name, const char *what) {
  const char *value = option(name, NULL);
  size_t size = strlen(what);
  while (*value) {
    const char *end = value;
    while (*end && *end != ',') end++;
    if ((size_t)(end - value) == size && !memcmp(value, what, size)) return 1;
    value = *end ? end + 1 : end;
  }
  return 0;
}
