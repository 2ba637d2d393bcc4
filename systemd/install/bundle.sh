# shellcheck shell=bash
# A part of install.sh. Bundles: all that an install needs, for a box without a network.

open_bundle() { # unpacked already, by install.sh (from_bundle)
  [ ! -e "$here/bundle" ] || { BUNDLE_DIR=$here && check_bundle; }
}

check_bundle() {
  local machine python mine
  machine=$(sed -n 's/^machine=//p' "$here/bundle"); python=$(sed -n 's/^python=//p' "$here/bundle")
  [ "$machine" = "$(uname -m)" ] || die "this bundle is for $machine, this machine is $(uname -m)"
  mine=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo "$python")
  [ "$mine" = "$python" ] || die "this bundle is for Python $python, this machine has $mine" \
    "Make it on a machine with the same release of Debian."
}
