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

/* MiB of memory that is huge pages, 0 without. */
static unsigned long huge_mib(void) {
  static char text[8192];
  if (read_file("/proc/meminfo", text, sizeof(text)) <= 0) return 0;
  const char *at = strstr(text, "Hugetlb:");
  if (!at) return 0;
  for (at += sizeof("Hugetlb:") - 1; *at == ' ';) at++;
  return strtoul(at, NULL, 10) >> 10;
}

/* Linux before 7.3 takes huge pages that are reserved at boot for memory of its own, of which
   scratch is to have twice as much (fdd843f2be1a). */
static void fail_no_scratch(void) {
  char text[160];
  unsigned long huge = huge_mib();
  if (huge) {
    snprintf(text, sizeof(text),
             "switched itself off: no room for scratch beside %lu MiB of huge pages, which before "
             "7.3 count twice for its size (see kho_scratch=)",
             huge);
  }
  FAIL("kho", huge ? text : "switched itself off: no room for scratch (see kho_scratch=)");
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
