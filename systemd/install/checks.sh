# shellcheck shell=bash
# A part of install.sh. Whether this machine can be a box at all.

check_machine() {
  step "looking at this machine"
  [ "$(id -u)" = 0 ] || die "this must run as root" "Type: sudo $0"
  [ -d /run/systemd/system ] || die "systemd does not run here, so no service can be started" \
    "In a container or for development use ./dev up."
  case $(uname -m) in
    x86_64 | aarch64) ;;
    *) die "this processor ($(uname -m)) is not one that Node.js is made for" \
      "Weir runs on 64-bit Intel/AMD and 64-bit ARM. On a Raspberry Pi: install the 64-bit Raspberry Pi OS." ;;
  esac
  [ "$(getconf LONG_BIT)" = 64 ] || die "the system is a 32-bit one" "Install the 64-bit system for this machine."
  command -v apt-get >/dev/null || die "this is no Debian: apt-get is missing" "Weir needs Debian 12, 13 or Raspberry Pi OS."
  local id version
  id=$(. /etc/os-release; echo "${ID:-}"); version=$(. /etc/os-release; echo "${VERSION_ID:-0}")
  case $id in
    debian | raspbian) [ "${version%%.*}" -ge 12 ] 2>/dev/null || die "Debian $version is too old" "Upgrade it to Debian 12 or 13." ;;
    *) say "     this is '$id', not Debian: Weir is not tried there" ;;
  esac
  check_room
}

check_room() {
  local free memory
  free=$(df -Pm "$(existing "$HOME_DIR")" | awk 'NR==2{print $4}')
  memory=$(awk '/^MemTotal:/{print int($2/1024)}' /proc/meminfo)
  [ "$free" -ge "$MIN_DISK_MB" ] || [ -e "$CURRENT" ] ||
    die "only $free MB are free where $HOME_DIR will be" "Weir needs $MIN_DISK_MB MB: remove something, or use a larger disk."
  [ "$memory" -ge "$MIN_MEMORY_MB" ] || die "this machine has $memory MB of memory" "Weir needs $MIN_MEMORY_MB MB at least."
}

alone() { # one at a time; who is killed frees the lock
  [ -z "$dry" ] || return 0
  exec 9>/run/weir-install.lock
  flock -n 9 && return 0
  say "     waiting for what an earlier install.sh has begun"
  flock -w 900 9 || die "another install.sh runs on this machine" "Let it end first."
}

existing() { local path=$1; while [ ! -e "$path" ]; do path=$(dirname "$path"); done; echo "$path"; }
