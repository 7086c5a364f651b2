/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A kernel that dies by a panic, its crash kernel loaded (khorig.crash=panic). */

#include "command_line.h"
#include "dead.h"
#include "idle.h"
#include "say.h"

#define LAST_STATUS 45 /* of the init that the kernel does not survive */

/* Appends one file to the archive as newc has it. Linux unpacks archives one after the other. */
static int append_member(int archive, const char *name, const char *data, size_t size) {
  char header[112];
  static const char zeros[512];
  size_t name_size = strlen(name) + 1, head = 110 + name_size;
  snprintf(header, sizeof(header), "070701%08x%08x%08x%08x%08x%08x%08lx%08x%08x%08x%08x%08lx%08x",
           1U, 0100600U, 0U, 0U, 1U, 0U, (unsigned long)size, 0U, 0U, 0U, 0U,
           (unsigned long)name_size, 0U);
  return write(archive, header, 110) == 110 &&
         write(archive, name, name_size) == (ssize_t)name_size &&
         write(archive, zeros, -head & 3) == (ssize_t)(-head & 3) &&
         write(archive, data, size) == (ssize_t)size &&
         write(archive, zeros, -size & 3) == (ssize_t)(-size & 3);
}

/* Adds to the archive of the crash kernel what it has to find. */
static void append_dead_pages(void) {
  int archive = open("/archive", O_RDWR);
  end_run();
  if (archive < 0) {
    FAIL_ERRNO("crash", "/archive");
    return;
  }
  off_t end = lseek(archive, 0, SEEK_END);
  static const char zeros[512];
  int done = write(archive, zeros, (size_t)(-end & 511)) == (ssize_t)(-end & 511) &&
             append_member(archive, DEAD_FILE, dead_text, dead_size) &&
             append_member(archive, "TRAILER!!!", "", 0);
  if (!done) FAIL_ERRNO("crash", "/archive");
  close(archive);
}

/* Reports a line of /proc/iomem, "  2b000000-3affffff : Crash kernel", as an event. */
static void report_area(const char *event, const char *text) {
  while (*text == ' ') text++;
  const char *dash = strchr(text, '-');
  if (!dash) return;
  unsigned long long start = strtoull(text, NULL, 16), last = strtoull(dash + 1, NULL, 16);
  say_begin(event);
  say_hex("start", start);
  say_number("size", last + 1 - start);
  say_end();
}

/* RAM as this kernel has it, and the part of it in which the crash kernel lives. */
static void report_crash_memory(void) {
  static char text[1 << 14];
  if (read_file("/proc/iomem", text, sizeof(text)) <= 0) {
    FAIL_ERRNO("crash", "/proc/iomem");
    return;
  }
  int found = 0;
  for (char *line = text; line && *line;) {
    char *end = strchr(line, '\n');
    if (end) *end = '\0';
    if (*line != ' ' && strstr(line, " : System RAM")) report_area("system-ram", line);
    if (strstr(line, " : Crash kernel")) {
      report_area("crash-memory", line);
      found = 1;
    }
    line = end ? end + 1 : NULL;
  }
  if (!found) FAIL("crash", "no memory is reserved for a crash kernel (crashkernel=)");
}

/* Does not return: a kernel without init panics. */
static void crash(void) {
  char text[80];
  snprintf(text, sizeof(text), "Attempted to kill init! exitcode=0x%08x", LAST_STATUS << 8);
  say_begin("crash");
  say_text("panic", text);
  say_idle();
  say_end_and_drain();
  exit(LAST_STATUS);
}
