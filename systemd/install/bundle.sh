# shellcheck shell=bash
# A part of install.sh. Bundles: all that an install needs, for a box without a network.

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
