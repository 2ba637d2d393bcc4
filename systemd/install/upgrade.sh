# shellcheck shell=bash
# A part of install.sh. From one release to the next.

end_interrupted() { # one that was killed before it was judged: first that comes to its end, as it would at a boot
  [ -e $OPT/upgrade.json ] || return 0
  step "the upgrade that was interrupted"
  changes "look whether it holds, and go back when it does not" || return 0
  local known code=0
  known=$(readlink -e $OPT/previous || readlink -e $CURRENT) || die "no release in $OPT can be run to bring it to its end"
  resume "$known" --locked || code=$?
  if [ $code = 2 ]; then code=0; resume "$known" || code=$?; fi # a release from before there was that word
  [ $code = 0 ] || die "it could not be brought to its end; see above" "Nothing else was changed. Type: weir doctor"
}

resume() { "$1/bin/python" -I -m appliance.upgrade resume "${@:2}" 2>&1 | sed 's/^/     /'; }

upgrade() { # the part that can go back: by the new release's own program
  step "upgrade from $(basename "$(readlink -f $CURRENT)")"
  changes "try the new release, and go back when it does not hold" || return 0
  "$RELEASE/bin/python" -I -m appliance.upgrade switch "$(basename "$RELEASE")" --locked | sed 's/^/     /' ||
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
