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

# -- answers -----------------------------------------------------------------------------------------
declare -A answer=([https]=443 [http]=80 [names]='' [domain]='' [instance]=first [team]=Home [admin_password_file]='' [placer]=units)

read_answers() {
  [ -n "$answers" ] || return 0
  [ -r "$answers" ] || die "cannot read the answers $answers"
  local line name value number=0
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    case $line in '' | \#*) continue ;; esac
    name=${line%%=*}; value=${line#*=}
    [ "$name" != "$line" ] && [ -n "${answer[$name]+known}" ] ||
      die "$answers, line $number: '$name' is no answer that I know" "Known: ${!answer[*]}"
    case $value in *[\"\\]* | *[[:cntrl:]]*) die "$answers, line $number: quotes and backslashes are not taken" ;; esac
    answer[$name]=$value
  done <"$answers"
  for name in https http; do
    [[ ${answer[$name]} =~ ^[0-9]{1,5}$ ]] || die "$answers: $name=${answer[$name]} is not a port"
  done
}

# -- checks ------------------------------------------------------------------------------------------
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

# -- Debian packages -----------------------------------------------------------------------------------
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

# -- accounts and directories ----------------------------------------------------------------------------
accounts() {
  step "accounts and directories"
  local name lacking=''
  for name in $(account_names "$(source_dir)"); do getent passwd "$name" >/dev/null || lacking="$lacking $name"; done
  if [ -n "$lacking" ]; then
    changes "make the accounts$lacking" || return 0
    mkdir -p $ETC
    account_names "$(source_dir)" >$OWN_RECORD
    systemd-sysusers "$(source_dir)/systemd/weir.sysusers" || die "the accounts could not be made; see above"
    done_now "made the accounts$lacking"
  else
    [ -n "$dry" ] || systemd-sysusers "$(source_dir)/systemd/weir.sysusers"
  fi
  changes "make $HOME_DIR and $ETC" || return 0
  install -d -o _weir -g _weir -m 0755 $HOME_DIR
  # What is below is _weir's own to make: root follows no path that this account could bend to another place.
  as_weir mkdir -p -m 0700 $HOME_DIR/state
  install -d -o root -g _weir -m 0750 $ETC $ETC/config.d
}

account_names() { awk '$1 == "u" {print $2}' "$1/systemd/weir.sysusers" 2>/dev/null; }

# -- the release -----------------------------------------------------------------------------------------
# A release is a virtual environment of Python at its final path, with the files for the system beside it. It is whole
# when release.json, written last, is there; anything else of that name is what an interruption left.
VERSION=''; FINGERPRINT=''; RELEASE=''; BUNDLE_DIR=''
SOURCES=(pyproject.toml constraints.txt install.sh appliance launcher tui nginx mosquitto systemd)

name_release() {
  local python
  python=$(python3 -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null || echo 3)
  if [ -n "$BUNDLE_DIR" ]; then
    VERSION=$(sed -n 's/^version=//p' "$BUNDLE_DIR/bundle")
    FINGERPRINT=$(sed -n 's/^fingerprint=//p' "$BUNDLE_DIR/bundle")
  else
    VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/pyproject.toml" | head -n 1)
    FINGERPRINT=$(fingerprint "$here")
  fi
  [[ $VERSION =~ ^[0-9][0-9A-Za-z.+]{0,30}$ && $FINGERPRINT =~ ^[0-9a-f]{64}$ ]] || die "$here is neither a checkout nor a bundle of Weir"
  FINGERPRINT=$(printf '%s %s' "$FINGERPRINT" "$python" | sha256sum | cut -c1-64)
  RELEASE=$RELEASES/$VERSION-${FINGERPRINT:0:8}
}

fingerprint() { # DIRECTORY: of all that makes a release
  (
    cd "$1"
    local name found=()
    for name in "${SOURCES[@]}"; do [ ! -e "$name" ] || found+=("$name"); done
    find "${found[@]}" -name __pycache__ -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-64
  )
}

source_dir() { echo "${BUNDLE_DIR:-$here}"; }

is_whole() { [ -e "$1/release.json" ]; }

release() {
  step "Weir $VERSION in $RELEASE"
  if is_whole "$RELEASE"; then say "     it is there"; return 0; fi
  changes "install Weir $VERSION there" || return 0
  install -d -m 0755 $OPT $RELEASES
  remove_halves
  local log; log=$(mktemp)
  {
    rm -rf "$RELEASE" && python3 -m venv "$RELEASE" && pip_install && system_parts && precompile
  } >"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    die "Weir could not be installed into $RELEASE; see above" "Nothing that ran before was changed. Run this again."
  }
  rm -f "$log"
  chmod -R go-w,a+rX "$RELEASE"
  sync
  printf '{"version": "%s", "fingerprint": "%s"}\n' "$VERSION" "$FINGERPRINT" >"$RELEASE/.release.json"
  mv "$RELEASE/.release.json" "$RELEASE/release.json"
  sync "$RELEASE"
  done_now "installed Weir $VERSION in $RELEASE"
}

pip_install() {
  local pip=("$RELEASE/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-compile)
  if [ -n "$BUNDLE_DIR" ]; then
    mkdir "$RELEASE/wheel" && cp "$BUNDLE_DIR"/wheels/weir-*.whl "$RELEASE/wheel/" &&
      "${pip[@]}" --no-index --find-links "$BUNDLE_DIR/wheels" -c "$BUNDLE_DIR/constraints.txt" weir
  else
    # Built from a copy: nothing is written into the checkout.
    local copy name; copy=$(mktemp -d)
    for name in "${SOURCES[@]}" README.md; do [ ! -e "$here/$name" ] || cp -R "$here/$name" "$copy/"; done
    # The wheel is kept: a bundle can be made of it (weir bundle make).
    local code=0
    { "$RELEASE/bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$RELEASE/wheel" "$copy" &&
      "${pip[@]}" -c "$here/constraints.txt" "$RELEASE"/wheel/weir-*.whl; } || code=$?
    rm -rf "$copy"
    return $code
  fi
}

system_parts() { # what lies beside the Python packages: units, templates, this script
  local from; from=$(source_dir)
  cp -R "$from/systemd" "$RELEASE/systemd"
  cp "$from/install.sh" "$from/constraints.txt" "$RELEASE/"
}

precompile() { # nobody but root may write the compiled files later
  "$RELEASE/bin/python" -m compileall -q -j 0 "$RELEASE/lib" || true
}

remove_halves() {
  local each
  for each in "$RELEASES"/*/; do [ ! -d "$each" ] || is_whole "$each" || rm -rf "$each"; done
}

# -- configuration ----------------------------------------------------------------------------------------
configuration() {
  step "configuration in $ETC"
  if [ -e $ETC/config.toml ]; then say "     $ETC/config.toml is there and stays as it is"; return 0; fi
  changes "write $ETC/config.toml" || return 0
  local https http
  https=$(free_port "${answer[https]}" 8443)
  http=$(free_port "${answer[http]}" 8080)
  {
    sed -e "s/@PLACER@/${answer[placer]}/; s/@HTTPS@/$https/; s/@HTTP@/$http/" \
      -e "s/@INSTANCE@/$(escaped "${answer[instance]}")/; s/@TEAM@/$(escaped "${answer[team]}")/" "$(source_dir)/systemd/config.toml"
    [ -z "${answer[admin_password_file]}" ] || printf '\n[login]\nadmin_password_file = "%s"\n' "$ETC/first-password"
    if [ -n "${answer[names]}${answer[domain]}" ]; then
      printf '\n[ingress]\n'
      [ -z "${answer[names]}" ] || printf 'names = ["%s"]\n' "${answer[names]//,/\", \"}"
      [ -z "${answer[domain]}" ] || printf 'mode = "host"\ndomain = "%s"\n' "${answer[domain]}"
    fi
  } >$ETC/.config.toml.new
  if [ -n "${answer[admin_password_file]}" ]; then
    install -o root -g _weir -m 0640 "${answer[admin_password_file]}" $ETC/first-password
  fi
  chown root:_weir $ETC/.config.toml.new && chmod 0640 $ETC/.config.toml.new
  sync $ETC/.config.toml.new && mv $ETC/.config.toml.new $ETC/config.toml
  [ "$https" = "${answer[https]}" ] || say "     port ${answer[https]} is taken: the platform is at port $https"
  done_now "wrote $ETC/config.toml"
}

escaped() { printf %s "$1" | sed 's/[&/]/\\&/g'; }

free_port() { # WANTED OTHERWISE: the first free one
  local port=$1
  while [ -n "$(ss -Hltn "sport = :$port" 2>/dev/null)" ]; do
    if [ "$port" = "$1" ]; then port=$2; else port=$((port + 1)); fi
  done
  echo "$port"
}

# -- files of the system ------------------------------------------------------------------------------------
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

# -- switch, stack, start -----------------------------------------------------------------------------------
switch() {
  step "the release in use"
  if [ "$(readlink $CURRENT 2>/dev/null)" = "$RELEASE" ]; then say "     it is this one"; return 0; fi
  changes "make $CURRENT mean $RELEASE" || return 0
  ln -sfn "$RELEASE" $CURRENT.new && mv -T $CURRENT.new $CURRENT
  sync $OPT
  systemctl daemon-reload
  done_now "$CURRENT means $RELEASE"
}

as_weir() { become_weir "$@" </dev/null; }

become_weir() { # run as the service's account, in a session of its own: it must not reach this terminal
  setsid --wait setpriv --reuid=_weir --regid=_weir --init-groups --no-new-privs env HOME=$HOME_DIR "$@"
}

stack() {
  step "Node.js and Node-RED (some minutes on a small box)"
  if compgen -G "$HOME_DIR/stacks/*/stack.json" >/dev/null; then say "     they are there"; return 0; fi
  changes "build the stack as _weir" || return 0
  local npm=()
  if [ -n "$BUNDLE_DIR" ]; then
    tar -C "$BUNDLE_DIR" -cf - npm | become_weir sh -c "cd $HOME_DIR && rm -rf packages npm && tar -xf - && mv npm packages" ||
      die "the packages of the bundle could not be placed in $HOME_DIR/packages"
    npm=("npm_config_cache=$HOME_DIR/packages" npm_config_offline=true)
  fi
  as_weir "${npm[@]}" "$RELEASE/bin/python" -I -m appliance stack build --home $HOME_DIR | sed 's/^/     /' ||
    die "the stack could not be built; see above" "Run this again when the cause is mended."
  done_now "built Node-RED in $HOME_DIR/stacks"
}

enabled_units() {
  local file
  for file in "$RELEASE"/systemd/*; do
    case $file in *@.*) continue ;; *.service | *.socket | *.timer | *.target) ;; *) continue ;; esac
    ! grep -q '^\[Install\]' "$file" || echo "${file##*/}"
  done
}

start() {
  step "starting"
  changes "enable and start $(enabled_units | tr '\n' ' ')" || return 0
  local units; mapfile -t units < <(enabled_units)
  systemctl enable --quiet "${units[@]}" || die "the units could not be enabled; see above"
  if systemctl is-active --quiet weir.service; then say "     Weir runs"; else
    systemctl reset-failed weir.service 2>/dev/null || true
    systemctl is-active --quiet polkit.service || systemctl restart polkit.service || true
    # The web server and the broker are started by the appliance, when it has written what they need.
    start_doors "${units[@]}"
    systemctl start weir.service || start_failed
    done_now "started Weir"
  fi
  wait_ready
}

start_doors() { # sockets have to be there before their service; one that fails is told, and no reason to be without the rest
  local unit
  for unit in "$@"; do
    case $unit in
      *.socket | *.timer) systemctl is-active --quiet "$unit" || systemctl start "$unit" ||
        say "     $unit does not start: see systemctl status $unit" ;;
    esac
  done
}

start_failed() {
  journalctl -u weir.service -n 15 --no-pager -o cat >&2 || true
  die "Weir does not start; see above" "More: journalctl -u weir.service. Then run this again."
}

wait_ready() {
  local i
  for ((i = 0; i < 120; i++)); do
    if /usr/local/bin/weir status --json >/dev/null 2>&1; then return 0; fi
    sleep 0.5
  done
  start_failed
}

summary() {
  [ -z "$dry" ] || { say ""; say "Nothing was changed."; return 0; }
  say ""
  if [ ${#did[@]} -eq 0 ]; then say "Nothing had to be done."; else
    say "Done:"
    printf '  - %s\n' "${did[@]}"
  fi
  say ""
  /usr/local/bin/weir status || true
  say ""
  if [ -e $HOME_DIR/state/first-admin-password ]; then
    say "Log in as admin; the first password is $(as_weir cat $HOME_DIR/state/first-admin-password)"
    say "It is in $HOME_DIR/state/first-admin-password as well; remove that file when you know it."
  fi
  say "The terminal: weir        What is wrong: weir doctor"
}

# -- taking it away ------------------------------------------------------------------------------------------
uninstall() {
  [ "$(id -u)" = 0 ] || die "this must run as root" "Type: sudo $0 --uninstall"
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
  rm -rf $HOME_DIR $ETC /var/lib/private/weir-instances /var/lib/weir-instances /var/lib/systemd/timers/stamp-weir-*
}

remove_accounts() { # names on standard input
  local name
  while IFS= read -r name; do
    ! getent passwd "$name" >/dev/null || userdel --force "$name" 2>/dev/null || true
    ! getent group "$name" >/dev/null || groupdel "$name" 2>/dev/null || true
  done
}

# -- all of it -----------------------------------------------------------------------------------------------
install_all() {
  read_answers
  check_machine
  open_bundle
  alone
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

upgrade() { # the part that can go back: by the new release's own program
  step "upgrade from $(basename "$(readlink -f $CURRENT)")"
  changes "try the new release, and go back when it does not hold" || return 0
  "$RELEASE/bin/python" -I -m appliance.upgrade switch "$(basename "$RELEASE")" | sed 's/^/     /' ||
    die "the box runs on as before; see above"
  done_now "upgraded to $(basename "$RELEASE")"
  wait_ready
}

place_all() { # --place, from a release that is in use from now on
  RELEASE=$here
  system_files >/dev/null
  remove_former
  local units; mapfile -t units < <(enabled_units)
  systemctl enable --quiet "${units[@]}"
  start_doors "${units[@]}"
}

remove_former() { # what another release placed and this one does not have
  local path source wanted
  [ -e $RECORD ] || return 0
  wanted=$(for source in "$RELEASE"/systemd/*; do place_of "$source"; done | awk 'NF {print $2}')
  while IFS= read -r path; do
    if [ "$path" = /usr/local/bin/weir ] || [ "${path%/}" != "$path" ] || grep -qxF "$path" <<<"$wanted"; then continue; fi
    case $path in
      $UNITS/*) systemctl disable --quiet --now "${path##*/}" 2>/dev/null || true ;;
    esac
    rm -f "$path"
  done <$RECORD
  systemctl daemon-reload
}

open_bundle() { # a bundle is unpacked, compared with its list, and installs itself
  if [ -z "$offline" ]; then
    [ ! -e "$here/bundle" ] || { BUNDLE_DIR=$here && check_bundle; }
    return 0
  fi
  [ -r "$offline" ] || die "cannot read the bundle $offline"
  local unpacked code=0
  unpacked=$(mktemp -d /var/tmp/weir-bundle.XXXXXX)
  trap 'rm -rf "'"$unpacked"'"' EXIT
  tar -xf "$offline" -C "$unpacked" --no-same-owner || die "$offline is no bundle, or it is cut short"
  [ -e "$unpacked/bundle" ] || die "$offline is no bundle of Weir"
  (cd "$unpacked" && sha256sum --check --quiet --strict SHA256SUMS) || die "$offline is damaged: see above" "Copy it again."
  local again=(); [ -z "$dry" ] || again+=(--dry-run); [ -z "$answers" ] || again+=(--answers "$answers")
  bash "$unpacked/install.sh" "${again[@]}" || code=$?
  rm -rf "$unpacked"; trap - EXIT
  exit $code
}

check_bundle() {
  local machine python mine
  machine=$(sed -n 's/^machine=//p' "$here/bundle"); python=$(sed -n 's/^python=//p' "$here/bundle")
  [ "$machine" = "$(uname -m)" ] || die "this bundle is for $machine, this machine is $(uname -m)"
  mine=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo "$python")
  [ "$mine" = "$python" ] || die "this bundle is for Python $python, this machine has $mine" \
    "Make it on a machine with the same release of Debian."
}

options "$@"
case $action in
  install) install_all ;;
  place) place_all ;;
  uninstall) uninstall ;;
esac
