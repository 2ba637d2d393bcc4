# shellcheck shell=bash
# A part of install.sh. Taking it away again.

uninstall() {
  [ "$(id -u)" = 0 ] || die "this must run as root" "Type: sudo $0 --uninstall"
  [ -z "$purge" ] || no_foreign_disk
  alone
  step "stopping Weir and its instances"
  if changes "stop all units of Weir"; then stop_all; fi
  step "removing what was placed"
  if changes "remove ${RECORD} and all it names"; then remove_placed; fi
  if [ -n "$purge" ]; then
    step "removing data, accounts and packages"
    if changes "remove $HOME_DIR, $ETC, the accounts and $(tr '\n' ' ' <$PACKAGES_RECORD 2>/dev/null)"; then purge_all; fi
  fi
  if changes "remove $OPT"; then rm -rf $OPT; fi
  say ""
  if [ -n "$dry" ]; then say "Nothing was changed."
  elif [ -n "$purge" ]; then say "Weir is gone, with all its data."
  else
    say "Weir is gone. Its data stays: $HOME_DIR, /var/lib/private/weir-instances, $ETC, and the accounts that own it."
    say "The next install takes it up again; ./install.sh --uninstall --purge removes it."
  fi
}

stop_all() {
  local unit units=()
  mapfile -t units < <(systemctl list-units --all --plain --no-legend 'weir*' 2>/dev/null | awk '{print $1}' |
    sort -r | grep -E '\.(socket|timer|service|slice)$' || true)
  # Sockets and timers first: they would start the services again.
  for unit in "${units[@]}"; do case $unit in *.socket | *.timer) systemctl stop "$unit" 2>/dev/null || true ;; esac; done
  [ ${#units[@]} -eq 0 ] || systemctl stop "${units[@]}" 2>/dev/null || true
  for unit in "${units[@]}"; do systemctl reset-failed "$unit" 2>/dev/null || true; done
}

remove_placed() {
  local path ssh=''
  [ -d "$UNITS" ] && find $UNITS -maxdepth 2 -type l -path '*.wants/weir*' -delete
  rm -rf /etc/systemd/system.control/weir-* /run/systemd/system.control/weir-*
  if [ -e $RECORD ]; then
    while IFS= read -r path; do
      case $path in /etc/ssh/*) ssh=1 ;; esac
      case $path in */) ;; /etc/* | /usr/local/bin/weir) rm -f "$path" ;; esac
    done <$RECORD
  fi
  # Folders that were made for these files (noted with a slash at the end), when nothing else is in them.
  [ ! -e $RECORD ] || grep '/$' $RECORD | xargs -r rmdir 2>/dev/null || true
  rmdir /etc/systemd/system.control 2>/dev/null || true
  rm -rf /run/weir /run/weir-nginx /run/weir-mosquitto
  systemctl daemon-reload
  [ -z "$ssh" ] || systemctl try-reload-or-restart ssh.service 2>/dev/null || true
}

purge_all() {
  local name came=()
  if [ -s $PACKAGES_RECORD ]; then
    mapfile -t came < <(sort -u $PACKAGES_RECORD | while IFS= read -r name; do [ -z "$name" ] || ! is_installed "$name" || echo "$name"; done)
    if [ ${#came[@]} -eq 0 ] ||
      DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 purge "${came[@]}" >/dev/null; then
      [ ! -e $ACCOUNTS_RECORD ] || remove_accounts <$ACCOUNTS_RECORD
      if [[ " ${came[*]} " == *" nginx-common "* ]]; then # its page stays behind
        rm -f /var/www/html/index.nginx-debian.html
        rmdir /var/www/html /var/www 2>/dev/null || true
      fi
    else
      say "     some packages could not be removed: ${came[*]}"
    fi
  fi
  [ ! -e $OWN_RECORD ] || remove_accounts <$OWN_RECORD
  no_foreign_disk # once more: much time has passed
  local data
  for data in "${DATA[@]}"; do remove_data "$data"; done
  rm -f /var/lib/systemd/timers/stamp-weir-*
}

DATA=("$HOME_DIR" "$ETC" /var/lib/private/weir-instances /var/lib/weir-instances)

# What is mounted below is somebody's: a disk for backups, or a folder of elsewhere, which rm would take for our own.
no_foreign_disk() {
  local found
  found=$(mounted_below "${DATA[@]}")
  [ -z "$found" ] || die "something is mounted below Weir's data, and --purge would empty it: $(tr '\n' ' ' <<<"$found")" \
    "Unmount it first (umount, and its line in /etc/fstab); what is on it stays. Nothing was removed."
}

mounted_below() { # DIRECTORY...: mount points in them, not themselves
  local point data
  while read -r _ _ _ _ point _; do
    point=$(printf '%b' "$point") # spaces are written as \040
    for data in "$@"; do [[ $point != "$data"/* ]] || printf '%s\n' "$point"; done
  done </proc/self/mountinfo
}

remove_data() { # a disk of its own that is mounted there is emptied, and stays
  if mountpoint -q "$1"; then
    find "$1" -xdev -mindepth 1 -delete
    say "     $1 is a mounted disk: it is empty now"
  else
    rm -rf --one-file-system "$1"
  fi
}

remove_accounts() { # names on standard input
  local name
  while IFS= read -r name; do
    ! getent passwd "$name" >/dev/null || userdel --force "$name" 2>/dev/null || true
    ! getent group "$name" >/dev/null || groupdel "$name" 2>/dev/null || true
  done
}
