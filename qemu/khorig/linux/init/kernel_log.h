/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the kernel itself said: the lines that a verdict needs, as events. */

#include "say.h"

static const char *const wanted[] = {
    "KHO",   "kho",      "liveupdate", "luo",      "Revived", "reserve_mem",
    "kexec", "WARNING:", "BUG:",       "Bad page", "Oops",
};

/* Why a handover was refused, by what Linux says of it; the first that is found. */
static const struct {
  const char *says, *cause;
} refusals[] = {
    {"is incompatible with", "compatible-mismatch"},
    {"handover FDT", "fdt-structure"},
    {"failed to get preserved memory map", "map-missing"},
    {"KHO: failed to mark the ", "scratch"}, /* its name follows, bootmem since 7.4 */
    {"failed to memremap", "outside-ram"},
    {"disabling KHO revival", "refused"},
    {"KEXEC_HANDOVER not set", "not-supported"},
    {"because KHO is disabled", "disabled"},
};
static size_t refusal = sizeof(refusals) / sizeof(refusals[0]);
static char refusal_text[256];

static void look_for_refusal(const char *text) {
  for (size_t i = 0; i < refusal; i++) {
    if (!strstr(text, refusals[i].says)) continue;
    refusal = i;
    snprintf(refusal_text, sizeof(refusal_text), "%s", text);
  }
}

static void say_refused(void) {
  int known = refusal < sizeof(refusals) / sizeof(refusals[0]);
  say_begin("refused");
  say_text("cause", known ? refusals[refusal].cause : "silent");
  say_text("text", known ? refusal_text : "Linux says nothing about it");
  say_end();
}

static int no_scratch; /* the kernel had no room for it */

static void look_for_causes(const char *text) {
  look_for_refusal(text);
  if (strstr(text, "disabling kexec handover")) no_scratch = 1;
}

static int is_wanted(const char *text) {
  for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
    if (strstr(text, wanted[i]) && !strstr(text, "ommand line:")) return 1;
  }
  return 0;
}

/* Reads /dev/kmsg from where the last call ended. A record is "level,number,time,-;text\n...". */
static void report_kernel_log(void) {
  static int log = -1;
  static char record[2048];
  if (log < 0) log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
  if (log < 0) {
    FAIL_ERRNO("log", "/dev/kmsg");
    return;
  }
  ssize_t got;
  while ((got = read(log, record, sizeof(record) - 1)) > 0 || (got < 0 && errno == EPIPE)) {
    if (got < 0) continue;
    record[got] = '\0';
    char *text = strchr(record, ';');
    if (!text) continue;
    char *end = strchr(++text, '\n');
    if (end) *end = '\0';
    if (!is_wanted(text)) continue;
    look_for_causes(text);
    say_begin("kernel-log");
    say_text("text", text);
    say_end();
  }
}
