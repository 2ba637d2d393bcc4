# shellcheck shell=bash
# A part of install.sh. Debian packages: installed without their services, remembered for --purge.

PACKAGES=(python3 python3-venv nginx-light libnginx-mod-stream mosquitto polkitd dbus ca-certificates)

is_installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

packages() {
  step "Debian packages"
  local missing=() name
  # An earlier run was cut short among them: what dpkg left undone is done first.
  [ ! -e $PACKAGES_BEFORE ] || [ -n "$dry" ] || { dpkg --configure -a >/dev/null 2>&1 || true; }
  for name in "${PACKAGES[@]}"; do
    case $name in nginx-light) [ -x /usr/sbin/nginx ] && continue ;; esac
    is_installed "$name" || missing+=("$name")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    changes "install ${missing[*]}" || return 0
    install_packages "${missing[@]}"
    done_now "installed Debian packages: ${missing[*]}"
  elif [ ! -e $PACKAGES_BEFORE ] || [ -n "$dry" ]; then
    say "     all are there"
    return 0
  fi
  after_packages
}

install_packages() {
  local log; log=$(mktemp)
  if [ ! -e $PACKAGES_BEFORE ]; then # what was there, written down before anything comes
    mkdir -p $ETC
    account_list >$ACCOUNTS_BEFORE
    dpkg-query -W -f='${binary:Package}\n' | LC_ALL=C sort >$PACKAGES_BEFORE.new
    sync $PACKAGES_BEFORE.new && mv $PACKAGES_BEFORE.new $PACKAGES_BEFORE
  fi
  # The services of these packages are not wanted: Weir runs nginx and Mosquitto itself, with its own files. What was
  # there before and ran goes on running.
  if [ ! -e $POLICY ]; then printf '#!/bin/sh\n# %s\nexit 101\n' "$POLICY_MARK" >$POLICY && chmod 755 $POLICY; fi
  trap policy_away EXIT
  if [ -n "$BUNDLE_DIR" ] && ! apt_get_bundled "$@" >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    die "the Debian packages of the bundle could not be installed; see above" \
      "Make it with --debian, or install these while the box is connected: ${PACKAGES[*]}"
  elif [ -z "$BUNDLE_DIR" ] && ! apt_get "$@" >"$log" 2>&1; then
    { apt-get -q update >"$log" 2>&1 && apt_get "$@" >>"$log" 2>&1; } || {
      tail -n 15 "$log" >&2
      die "the Debian packages could not be installed; see above" "Is the box connected? Then run this again."
    }
  fi
  rm -f "$log"
}

account_list() { getent passwd | cut -d: -f1 | LC_ALL=C sort; }

policy_away() { ! grep -qsF "$POLICY_MARK" $POLICY || rm -f $POLICY; }

after_packages() { # also for those that a run before this one has installed, and then was cut short
  local name came
  policy_away
  trap - EXIT
  came=$(dpkg-query -W -f='${binary:Package}\n' | LC_ALL=C sort | LC_ALL=C comm -13 $PACKAGES_BEFORE -)
  printf '%s\n' "$came" >>$PACKAGES_RECORD
  account_list | LC_ALL=C comm -13 $ACCOUNTS_BEFORE - >>$ACCOUNTS_RECORD
  for name in nginx mosquitto; do # their own services, which came just now
    ! grep -q "^$name" <<<"$came" || systemctl disable --quiet --now "$name.service" 2>/dev/null || true
  done
  # D-Bus and polkit have to know each other before Weir asks: the packages were kept from telling them.
  systemctl start dbus.service
  systemctl reload dbus.service
  systemctl restart polkit.service || true
  rm -f $PACKAGES_BEFORE $ACCOUNTS_BEFORE
}

apt_get_bundled() { # the bundle's folder is an archive of Debian packages, and the only one that is asked
  local lists code=0 from=()
  [ -d "$BUNDLE_DIR/debs" ] || { echo "this bundle has no Debian packages"; return 1; }
  lists=$(mktemp -d)
  mkdir -p "$lists/lists/partial" "$lists/none"
  echo "deb [trusted=yes] file:$BUNDLE_DIR/debs ./" >"$lists/sources.list"
  from=(-o "Dir::Etc::sourcelist=$lists/sources.list" -o "Dir::Etc::sourceparts=$lists/none" -o "Dir::State::lists=$lists/lists"
    -o APT::Sandbox::User=root)
  { apt-get -q "${from[@]}" update && apt_get "${from[@]}" "$@"; } || code=$?
  rm -rf "$lists"
  return $code
}

apt_get() {
  DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold \
    install --no-install-recommends "$@"
}
