# shellcheck shell=bash
# A part of install.sh. Accounts and directories.

accounts() {
  step "accounts and directories"
  local name lacking='' known
  if getent passwd weir >/dev/null; then
    known=$(getent passwd weir | cut -d: -f5)
    [ "$known" = "Weir terminal" ] || die "there is an account 'weir' on this machine that is not Weir's ($known)" \
      "Logins over SSH come by this name. Give that person another one: usermod -l OTHER weir"
  fi
  for name in $(account_names "$(source_dir)"); do getent passwd "$name" >/dev/null || lacking="$lacking $name"; done
  if [ -n "$lacking" ]; then
    changes "make the accounts$lacking" || return 0
    mkdir -p $ETC
    # What was there before is not ours to take away.
    for name in $lacking; do grep -qsxF "$name" $OWN_RECORD || printf '%s\n' "$name" >>$OWN_RECORD; done
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
