# shellcheck shell=bash
# A part of install.sh. The release in use, Node-RED, the start, and what is said at the end.

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
