#!/usr/bin/env bash
# Turns a Debian 12, Debian 13 or 64-bit Raspberry Pi OS into a Weir appliance, brings an installed one up to date, or
# takes it away again. Every step looks first whether it is done: interrupted anywhere, run it again.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH LC_ALL=C.UTF-8

usage() {
  cat <<'TEXT'
Usage: sudo ./install.sh [OPTIONS]

  --answers FILE       answers for an unattended fleet, see below (nothing is ever asked)
  --offline BUNDLE     install from a bundle made by "weir bundle make", without a network
  --dry-run            say what would be done, change nothing
  --uninstall          take Weir away; its data (/var/lib/weir, /etc/weir) stays
  --uninstall --purge  take data, accounts and the Debian packages that Weir installed away as well
  --help               this text

Answers are lines NAME=VALUE:
  admin_password_file=/root/first   the first administrator's password (default: one is made and shown)
  https=443, http=80                ports of the platform (default: these; the next free ones when taken)
  names=plant.example,10.0.0.7      names under which browsers reach the box, beside its own
  domain=plant.example              instances at https://NAME.plant.example/ instead of ports
  instance=first                    the first instance; empty for none
  team=Home                         the first team
TEXT
}

# -- words -------------------------------------------------------------------------------------------
OPT=/opt/weir
RELEASES=$OPT/releases
CURRENT=$OPT/current
HOME_DIR=/var/lib/weir
ETC=/etc/weir
UNITS=/etc/systemd/system
RECORD=$OPT/installed        # what this script put on the box, one path a line
PACKAGES_RECORD=$ETC/.packages # Debian packages that were not there before; outlives an --uninstall without --purge
PACKAGES_BEFORE=$ETC/.packages-before
ACCOUNTS_RECORD=$ETC/.accounts # those that came with them: Debian's own --purge leaves them behind
ACCOUNTS_BEFORE=$ETC/.accounts-before
OWN_RECORD=$ETC/.own-accounts
POLICY=/usr/sbin/policy-rc.d # Debian asks it whether a service may be started by a package
POLICY_MARK="made by Weir's install.sh"
MIN_DISK_MB=2000
MIN_MEMORY_MB=900

dry=''; offline=''; answers=''; action=install; purge=''
step_number=0
did=()

die() { printf 'install.sh: %s\n' "$1" >&2; [ $# -lt 2 ] || printf '            %s\n' "${@:2}" >&2; exit 1; }
say() { printf '%s\n' "$*"; }
step() { step_number=$((step_number + 1)); printf '[%2d] %4d s  %s\n' "$step_number" "$SECONDS" "$*"; }
done_now() { did+=("$*"); }
changes() { # WHAT: whether to go on; in a dry run it is only said
  [ -z "$dry" ] && return 0
  say "     would $*"
  return 1
}

options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --answers) [ $# -ge 2 ] || { usage >&2; exit 2; }; answers=$2; shift ;;
      --offline) [ $# -ge 2 ] || { usage >&2; exit 2; }; offline=$(readlink -f "$2"); shift ;;
      --dry-run) dry=1 ;;
      --uninstall) action=uninstall ;;
      --purge) purge=1 ;;
      --place) action=place ;; # units and rules of this release, for the upgrade; nobody types it
      -h | --help) usage; exit 0 ;;
      *) usage >&2; exit 2 ;;
    esac
    shift
  done
  [ -z "$purge" ] || [ "$action" = uninstall ] || die "--purge goes with --uninstall"
}

# -- a bundle ----------------------------------------------------------------------------------------
from_bundle() { # it is unpacked, compared with its list, and installs itself: of this script only this file is needed
  [ "$(id -u)" = 0 ] || die "this must run as root" "Type: sudo $0"
  [ -r "$offline" ] || die "cannot read the bundle $offline"
  local unpacked code=0 again=()
  unpacked=$(mktemp -d /var/tmp/weir-bundle.XXXXXX)
  trap 'rm -rf "'"$unpacked"'"' EXIT
  tar -xf "$offline" -C "$unpacked" --no-same-owner || die "$offline is no bundle, or it is cut short"
  [ -e "$unpacked/bundle" ] || die "$offline is no bundle of Weir"
  as_listed "$unpacked" || die "$offline is damaged: see above" "Copy it again."
  [ -z "$dry" ] || again+=(--dry-run)
  [ -z "$answers" ] || again+=(--answers "$answers")
  bash "$unpacked/install.sh" "${again[@]}" || code=$?
  rm -rf "$unpacked"
  trap - EXIT
  exit $code
}

as_listed() { # DIRECTORY: exactly the files of its list, each as it was when the list was made
  local unlisted
  (cd "$1" && sha256sum --check --quiet --strict SHA256SUMS) || return 1
  [ "$(sha256sum <"$1/SHA256SUMS" | cut -c1-64)" = "$(sed -n 's/^fingerprint=//p' "$1/bundle")" ] || {
    echo "SHA256SUMS is not the list that the bundle was made with" >&2
    return 1
  }
  unlisted=$(cd "$1" && find . -mindepth 1 ! -type d ! -path ./bundle ! -path ./SHA256SUMS -printf '%P\n' | LC_ALL=C sort |
    LC_ALL=C comm -23 - <(cut -c67- SHA256SUMS | LC_ALL=C sort))
  [ -z "$unlisted" ] || { printf 'not in its list: %s\n' "$unlisted" >&2; return 1; }
}

options "$@"
[ -z "$offline" ] || [ "$action" != install ] || from_bundle

# -- parts -------------------------------------------------------------------------------------------
for part in "$here"/systemd/install/*.sh; do
  # shellcheck disable=SC1090
  . "$part"
done

# -- all of it -----------------------------------------------------------------------------------------------
install_all() {
  read_answers
  check_machine
  open_bundle
  alone
  end_interrupted
  name_release
  packages
  release
  accounts
  configuration
  stack
  if [ -e $CURRENT ] && [ "$(readlink -f $CURRENT)" != "$RELEASE" ] && [ -e $HOME_DIR/state/weir.db ]; then
    upgrade
  else
    switch
    system_files
    start
  fi
  summary
}

case $action in
  install) install_all ;;
  place) place_all ;;
  uninstall) uninstall ;;
esac
