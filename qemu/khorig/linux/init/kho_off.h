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
    FAIL("kho", "switched itself off: no room for scratch (see kho_scratch=)");
  }
}
