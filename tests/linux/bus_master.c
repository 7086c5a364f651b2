/* SPDX-License-Identifier: BSD-3-Clause */
/* Switches on memory and bus mastering of the PCI functions in its arguments (0000:01:00.0). */

int main(int argc, char **argv) {
  static const unsigned char command[2] = {6, 0};
  int failed = 0;
  for (int i = 1; i < argc; i++) {
    char path[128];
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", argv[i]);
    int file = open(path, O_RDWR);
    failed |= file < 0 || lseek(file, 4, SEEK_SET) != 4 || write(file, command, 2) != 2;
    close(file);
  }
  return failed;
}
