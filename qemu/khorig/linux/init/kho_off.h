/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Names why the first kernel of a chain hands nothing over. Later ones are offered a handover, and
   say themselves why they refuse it. khorig.kho=off: it is meant to hand nothing over. */

#include "command_line.h"
#include "kernel_log.h"
#include "say.h"

/* As kstrtobool() has it. */
static int is_off(const char *value) {
  return strchr("nNfF0", value[0]) || ((value[0] | 0x20) == 'o' && (value[1] | 0x20) == 'f');
}

/* Huge pages of 1 GiB, which the page allocator does not have: they are reserved before scratch is,
   smaller ones later. */
static unsigned long gigantic_pages(void) {
  char count[32];
  const char *path = "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages";
  return read_file(path, count, sizeof(count)) > 0 ? strtoul(count, NULL, 10) : 0;
}

/* Linux before 7.3 takes huge pages that are reserved at boot for memory of its own, of which
   scratch is to have twice as much (fdd843f2be1a). */
static void fail_no_scratch(void) {
  char text[160];
  unsigned long pages = gigantic_pages();
  if (pages) {
    snprintf(text, sizeof(text),
             "switched itself off: no room for scratch beside %lu MiB of huge pages, which before "
             "7.3 count twice for its size (see kho_scratch=)",
             pages << 10);
  }
  FAIL("kho", pages ? text : "switched itself off: no room for scratch (see kho_scratch=)");
}

static void name_kho_off(void) {
  if (access("/debug/kho", F_OK) == 0 || option_has("khorig.kho=", "off")) return;
  char last[32] = "", text[128];
  const char *from = NULL;
  const char *value;
  while (*(value = option("kho=", &from))) snprintf(last, sizeof(last), "%s", value);
  if (last[0] && is_off(last)) {
    snprintf(text, sizeof(text), "off by kho=%s on the command line", last);
    FAIL("kho", text);
  } else if (no_scratch) {
    fail_no_scratch();
  }
}
