# Sourced by the scripts at the root: what has to be there before anything runs.

# The one list of Debian packages that building, testing and the pictures need.
packages=(build-essential cmake ninja-build pkg-config libuv1-dev liblmdb-dev libmsgpack-dev
  libxxhash-dev libisal-dev uthash-dev libjansson-dev libsmartcols-dev libcmocka-dev
  gnuplot-nox jq)

# The other stores that bench/compare-engines.sh measures (LMDB is in the list above).
packages_peers=(librocksdb-dev libleveldb-dev)

say() { printf '%s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# setup_packages [PACKAGE...]: installs what is missing of these, or of the list above; without root or apt it names
# the packages and ends.
setup_packages() {
  local wanted=("$@") missing=() package
  [ $# -gt 0 ] || wanted=("${packages[@]}")
  command -v dpkg-query >/dev/null || die "this is no Debian: install the equivalents of ${wanted[*]} and build by hand (see README.md)"
  for package in "${wanted[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local as=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null && as=(sudo) || die "missing packages, and neither root nor sudo to install them: apt-get install ${missing[*]}"
  fi
  command -v apt-get >/dev/null || die "missing packages, and no apt-get to install them: ${missing[*]}"
  say "installing ${missing[*]}"
  local out
  out=$(mktemp)
  if ! { "${as[@]}" apt-get update -qq && "${as[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$out" 2>&1; then
    tail -n 20 "$out" >&2
    rm -f "$out"
    die "could not install; run: apt-get install ${missing[*]}"
  fi
  rm -f "$out"
}

# setup_build PRESET: configures and builds every program (and test) of a preset.
setup_build() {
  local out
  out=$(mktemp)
  say "building ($1)"
  if ! { (cd "$root" && cmake --preset "$1" && cmake --build --preset "$1"); } >"$out" 2>&1; then
    grep -E -A5 'error|FAILED' "$out" | head -n 60 >&2 || tail -n 40 "$out" >&2
    rm -f "$out"
    die "the build failed"
  fi
  rm -f "$out"
}
