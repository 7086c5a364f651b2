# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# What the scripts share.

root="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)"

# Exit status for "the machine is at fault, not what was tested", as in khorig itself.
readonly EXIT_INFRA=3

# Where everything lies that can be made again.
cache="${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/khorig"

# Words for people, on stderr, so that stdout stays clean for --json.
say() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# Says what is wrong with the machine and ends.
infra() {
  say "$@"
  exit "$EXIT_INFRA"
}

# The lists of packages that are wanted, below scripts/.
read -r -a package_lists <<<"${KHORIG_PACKAGE_LISTS:-packages.txt}"
package_lists=("${package_lists[@]/#/$root/scripts/}")

# Names of the packages in these lists.
packages() {
  sed 's/#.*//' "${package_lists[@]}" | tr -s ' \n' '\n' | grep .
}

# Names of the packages that are not installed.
missing_packages() {
  local installed
  # shellcheck disable=SC2016  # dpkg-query's own variables
  installed="$(packages | xargs dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null |
    sed -n 's/^installed //p')" || true
  packages | grep -vxF "$installed" || true
}

# The file that setup leaves behind; its name changes with what setup does.
setup_stamp() {
  local key
  key="$(cat "$root/scripts/setup" "${package_lists[@]}" | sha256sum)"
  printf '%s/setup-%s' "$cache" "${key:0:16}"
}
