# shellcheck shell=bash
# A part of install.sh. The release: a virtual environment of Python below /opt/weir/releases.

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
