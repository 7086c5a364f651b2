/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A program of the user's, unpacked over this user space: khorig.exec=PATH[,ARGUMENT...]. */

#include <sys/wait.h>

#include "command_line.h"
#include "say.h"

#define MAX_WORDS 8

/* How it ended: one of the three is not 0 when it failed. */
struct program_end {
  int error; /* errno of what kept it from being started */
  int signal;
  int status;
};

/* Runs it to its end; what it leaves behind in the background goes on until the jump. */
static struct program_end run_program(char *const words[]) {
  struct program_end end = {0, 0, 0};
  int errors[2], status;
  if (pipe2(errors, O_CLOEXEC) < 0) {
    end.error = errno;
    return end;
  }
  pid_t child = fork();
  if (child == 0) {
    execve(words[0], words, environ);
    int error = errno;
    write(errors[1], &error, sizeof(error));
    _exit(127);
  }
  if (child < 0) end.error = errno;
  close(errors[1]);
  /* Closed by a successful execve, so that nothing comes. */
  if (child > 0) read(errors[0], &end.error, sizeof(end.error));
  close(errors[0]);
  if (child > 0 && waitpid(child, &status, 0) != child) end.error = errno;
  if (end.error == 0 && WIFSIGNALED(status)) end.signal = WTERMSIG(status);
  if (end.error == 0 && WIFEXITED(status)) end.status = WEXITSTATUS(status);
  return end;
}

static const char *error_name(int error) {
  switch (error) {
    case ENOENT:
      return "ENOENT: no such file, or its interpreter is missing";
    case ENOEXEC:
      return "ENOEXEC: not an executable for this kernel";
    case EACCES:
      return "EACCES: no permission to execute it";
    case ENOMEM:
      return "ENOMEM: out of memory";
    default:
      return "not started";
  }
}

static void report_program(const char *path, const struct program_end *end) {
  char text[256];
  int failed_to_run = end->error || end->signal || end->status;
  say_begin("program");
  say_text("path", path);
  say_number("errno", (unsigned long long)end->error);
  say_number("signal", (unsigned long long)end->signal);
  say_number("status", (unsigned long long)end->status);
  say_bool("ok", !failed_to_run);
  say_end();
  if (!failed_to_run) return;
  if (end->error) {
    snprintf(text, sizeof(text), "%s: errno %d, %s", path, end->error, error_name(end->error));
  } else if (end->signal) {
    snprintf(text, sizeof(text), "%s: killed by signal %d", path, end->signal);
  } else {
    snprintf(text, sizeof(text), "%s: exit status %d", path, end->status);
  }
  FAIL("program", text);
}

static void use_program(void) {
  static char text[256];
  snprintf(text, sizeof(text), "%s", option("khorig.exec=", NULL));
  if (!*text) return;
  if (strlen(text) == sizeof(text) - 1) {
    FAIL("program", "khorig.exec= is longer than 254 bytes");
    return;
  }
  char *words[MAX_WORDS + 1] = {text};
  size_t count = 1;
  for (char *at = text; *at; at++) {
    if (*at != ',') continue;
    if (count == MAX_WORDS) {
      FAIL("program", "khorig.exec= has more than 8 words");
      return;
    }
    *at = '\0';
    words[count++] = at + 1;
  }
  const struct program_end end = run_program(words);
  report_program(words[0], &end);
}
