/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A program of the user's, unpacked over this user space: khorig.exec=PATH[,ARGUMENT...]. */

#include <sys/wait.h>

#include "command_line.h"
#include "say.h"

#define MAX_WORDS 8

/* Runs it to its end; what it leaves behind in the background goes on until the jump. */
static int run_program(char *const words[]) {
  int status = -1;
  pid_t child = fork();
  if (child == 0) {
    execve(words[0], words, environ);
    _exit(127);
  }
  if (child < 0 || waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void use_program(void) {
  static char text[256];
  snprintf(text, sizeof(text), "%s", option("khorig.exec=", NULL));
  if (!*text) return;
  char *words[MAX_WORDS + 1] = {text};
  size_t count = 1;
  for (char *at = text; *at && count < MAX_WORDS; at++) {
    if (*at != ',') continue;
    *at = '\0';
    words[count++] = at + 1;
  }
  int status = run_program(words);
  say_begin("program");
  say_text("path", words[0]);
  say_number("status", (unsigned long long)status);
  say_bool("ok", status == 0);
  say_end();
  if (status != 0) FAIL("program", words[0]);
}
