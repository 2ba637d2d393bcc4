# shellcheck shell=bash
# A part of install.sh. Units, rules and other files of the system: placed, compared, remembered.

# SOURCE -> DESTINATION of each file below systemd/ by what it is. Units are links through /opt/weir/current, so that a
# switch of the release is a switch of its units; what other programs read only when told is copied.
place_of() {
  local name=${1##*/}
  case $name in
    *.service | *.socket | *.timer | *.slice | *.path | *.target) echo "link $UNITS/$name" ;;
    *-generator) echo "link /etc/systemd/system-generators/$name" ;;
    *.rules) echo "copy /etc/polkit-1/rules.d/$name" ;;
    *.sysusers) echo "copy /etc/sysusers.d/${name%.sysusers}.conf" ;;
    *.tmpfiles) echo "copy /etc/tmpfiles.d/${name%.tmpfiles}.conf" ;;
    *-watchdog.conf) [ ! -e /dev/watchdog ] || echo "copy /etc/systemd/system.conf.d/$name" ;;
    *-dbus.conf) echo "copy /etc/dbus-1/system.d/${name%-dbus.conf}.conf" ;;
    *.sshd) echo "copy /etc/ssh/sshd_config.d/${name%.sshd}.conf" ;;
    *) echo "" ;;
  esac
}

system_files() {
  step "units and rules"
  local source how where changed=''
  [ -d "$RELEASE/systemd" ] || { changes "place units in $UNITS" || return 0; }
  for source in "$RELEASE"/systemd/*; do
    read -r how where <<<"$(place_of "$source")"
    [ -n "$where" ] || continue
    if [ "$how" = link ]; then
      [ "$(readlink "$where" 2>/dev/null)" = "$CURRENT/systemd/${source##*/}" ] && continue
    else
      cmp -s "$source" "$where" && continue
    fi
    changes "place $where" || continue
    put "$how" "$source" "$where"
    changed="$changed ${where##*/}"
  done
  if [ ! -L /usr/local/bin/weir ] && changes "make /usr/local/bin/weir"; then
    note /usr/local/bin/weir
    ln -sfn $CURRENT/bin/weir /usr/local/bin/weir
  fi
  # Made at each boot; by us when an installation was cut off before it came to that.
  if [ -z "$changed$dry" ] && [ ! -d /run/weir ]; then systemd-tmpfiles --create /etc/tmpfiles.d/weir.conf; fi
  [ -n "$changed" ] || { say "     all in place"; return 0; }
  done_now "placed$changed"
  systemctl daemon-reload
  systemd-tmpfiles --create /etc/tmpfiles.d/weir.conf
  case $changed in *weir.conf*) systemctl reload dbus.service || true ;; esac
  case $changed in *watchdog*) systemctl daemon-reexec || true ;; esac
}

put() { # HOW SOURCE DESTINATION
  note "$3"
  if [ ! -d "${3%/*}" ]; then note "${3%/*}/" && install -d -m 0755 "${3%/*}"; fi
  if [ "$1" = link ]; then
    ln -sfn "$CURRENT/systemd/${2##*/}" "$3"
  elif [[ $3 == */sshd_config.d/* ]]; then
    put_sshd "$2" "$3"
  else
    install -m 0644 "$2" "$3.weir-new" && mv "$3.weir-new" "$3"
  fi
}

put_sshd() { # a wrong line in there would shut everybody out at the next restart of sshd
  local kept=''
  if [ ! -x /usr/sbin/sshd ]; then
    say "     sshd is not installed: once it is, run this again, and people can log in over SSH"
    return 0
  fi
  install -d -m 0755 /run/sshd # sshd -t wants it, also where sshd is started by a socket
  if [ -e "$2" ]; then kept=$(mktemp) && cp "$2" "$kept"; fi
  install -m 0644 "$1" "$2"
  if ! sshd -t; then
    if [ -n "$kept" ]; then cp "$kept" "$2"; else rm -f "$2"; fi
    die "sshd does not take $1; it stays as it was"
  fi
  [ -z "$kept" ] || rm -f "$kept"
  sshd -T -C user=weir,host=localhost,addr=127.0.0.1 2>/dev/null | grep -q '^authorizedkeyscommand /opt/weir/' ||
    say "     /etc/ssh/sshd_config does not read $2 (Include /etc/ssh/sshd_config.d/*.conf): no login as weir over SSH"
  systemctl try-reload-or-restart ssh.service 2>/dev/null || true
}

note() { # remember what is ours, before it is there
  touch $RECORD
  grep -qxF "$1" $RECORD || { printf '%s\n' "$1" >>$RECORD; sync $RECORD; }
}
