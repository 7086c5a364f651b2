/* SPDX-License-Identifier: BSD-3-Clause */
/* /init of a Linux peer: says what it got, checks it, and hands over to the next kernel. Built with
   the kernel's own nolibc; the rig reads what it says on the console. */

#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "command_line.h"
#include "cpus.h"
#include "crash.h"
#include "debugfs.h"
#include "idle.h"
#include "kernel_log.h"
#include "kho_off.h"
#include "liveupdate.h"
#include "memory_map.h"
#include "next.h"
#include "program.h"
#include "reserved.h"
#include "say.h"
#include "vmcore.h"
#include "stress.h"

/* Exit codes of docs/abi.md. */
enum { STATUS_PASS = 33, STATUS_FAIL = 35 };

static void mount_all(void) {
  static const struct {
    const char *type, *at;
  } mounts[] = {{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"debugfs", "/debug"}};
  for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
    mkdir(mounts[i].at, 0755);
    mount(mounts[i].type, mounts[i].at, mounts[i].type, 0, NULL);
  }
}

/* Whether the boot protocol offered a handover, taken or not. */
static int was_offered(void) {
  char path[96], type[32];
  if (access("/sys/firmware/devicetree/base/chosen/linux,kho-fdt", F_OK) == 0) return 1;
  for (int i = 0; i < 16; i++) {
    snprintf(path, sizeof(path), "/sys/kernel/boot_params/setup_data/%d/type", i);
    if (read_file(path, type, sizeof(type)) <= 0) return 0;
    if (strtoul(type, NULL, 0) == 10) return 1; /* SETUP_KEXEC_KHO */
  }
  return 0;
}

static void say_boot(int handover) {
  struct utsname name;
  uname(&name);
  say_begin("boot");
  say_text("arch", name.machine);
  say_text("version", name.release);
  say_text("protocol", "init");
  say_bool("handover", handover);
  say_number("cpus", online_cpus());
  say_number("supported", supported_cpus());
  say_end();
}

/* The host looks at memory and then types one g. */
static void stop_at(const char *name) {
  if (!option_has("khorig.stops=", name)) return;
  say_begin("stop");
  say_text("at", name);
  say_end();
  char byte = 0;
  while (byte != 'g' && read(0, &byte, 1) == 1) {
  }
}

static void raw_console(void) {
  int console = open("/dev/console", O_RDWR);
  if (console < 0) return;
  for (int i = 0; i < 3; i++) dup2(console, i);
  /* TCGETS, TCSETS: no line discipline, so that a byte is read as it comes, and no echo. */
  unsigned char termios[64] = {0};
  if (ioctl(0, 0x5401, termios) < 0) return;
  unsigned int modes;
  memcpy(&modes, termios + 12, sizeof(modes));
  modes &= ~0xaU; /* ICANON, ECHO */
  memcpy(termios + 12, &modes, sizeof(modes));
  ioctl(0, 0x5402, termios);
}

/* From here on only errors and warnings, WARN() among them, may come between our lines; what else
   there is is in the log all the same. */
static void quiet_kernel(void) { syscall(__NR_syslog, 8, NULL, 5); /* CONSOLE_LEVEL */ }

static void finish(void) {
  report_kernel_log();
  say_begin("done");
  say_text("status", failed ? "fail" : "pass");
  say_idle();
  say_end_and_drain();
  end_qemu(failed ? STATUS_FAIL : STATUS_PASS);
  reboot(LINUX_REBOOT_CMD_POWER_OFF);
}

int main(void) {
  mount_all();
  raw_console();
  quiet_kernel();
  read_file("/proc/cmdline", command_line, sizeof(command_line));
  generation = strtoul(option("khorig.generation=", NULL), NULL, 10);
  unsigned long last = strtoul(option("khorig.generations=", NULL), NULL, 10);
  int handover = access("/debug/kho/in/fdt", F_OK) == 0;
  int offered = handover || was_offered();
  say_boot(offered);
  report_memory_map();
  report_kernel_log();
  report_debugfs("in/fdt", 0);
  if (offered && !handover) say_refused();
  if (generation == 1) name_kho_off();
  check_vmcore();
  use_reserved_memory(!handover);
  use_liveupdate();
  use_programs_of_generation();
  stop_at("restored");
  use_stress();
  if (generation < last && load_next() == 0) {
    write_memfds_again();
    report_kernel_log();
    report_outgoing();
    stop_at("sealed");
    if (is_to_crash()) crash();
    jump();
  }
  finish();
  for (;;) poll(NULL, 0, -1);
}
