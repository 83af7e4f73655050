#!/usr/bin/env bash
# Makes this machine ready to build: checks Swift and the system libraries, installs missing packages with apt-get when
# it may, and otherwise prints the one command to run and exits with 1. Says nothing when nothing is missing.
#   Tools/setup.sh --dry-run    says what it would install, and installs nothing
set -euo pipefail

minimum_swift=6.2
dry_run=no
case "${1:-}" in
  "") ;;
  --dry-run) dry_run=yes ;;
  *) printf 'usage: Tools/setup.sh [--dry-run]\n' >&2; exit 2 ;;
esac

# The pkg-config modules that Package.swift names, and the Debian and Ubuntu packages they come from.
modules=(openblas lapacke libpng libjpeg libgif zlib hdf5)
packages=(libopenblas-dev liblapacke-dev libpng-dev libjpeg-dev libgif-dev zlib1g-dev libhdf5-dev)

fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

# True when version $1 is at least version $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

check_swift() {
  local advice="Install it from https://www.swift.org/install/linux/ and run the command again."
  command -v swift >/dev/null ||
    fail "swift was not found on PATH; this package needs Swift $minimum_swift or later." "$advice"
  local version
  version=$(swift --version 2>/dev/null | sed -nE 's/.*Swift version ([0-9]+(\.[0-9]+)*).*/\1/p' | head -n 1)
  [ -n "$version" ] || fail "'swift --version' names no version; is the toolchain at $(command -v swift) complete?"
  at_least "$version" "$minimum_swift" ||
    fail "found Swift $version at $(command -v swift); this package needs Swift $minimum_swift or later." "$advice"
}

missing_packages() {
  if ! command -v pkg-config >/dev/null; then
    echo pkg-config "${packages[@]}"
  elif ! pkg-config --exists "${modules[@]}"; then
    local index
    for index in "${!modules[@]}"; do
      pkg-config --exists "${modules[$index]}" || echo "${packages[$index]}"
    done
  fi
}

install_packages() {
  local install="apt-get install -y --no-install-recommends $*" sudo=""
  command -v apt-get >/dev/null ||
    fail "system libraries are missing. As Debian packages they are called: $*" \
      "There is no apt-get here: install them with this system's package manager, then repeat the command."
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null ||
      fail "system packages are missing. Run this, then repeat the command:" "  sudo apt-get update && sudo $install"
    sudo="sudo -n"
  fi
  echo "setup: installing $*" >&2
  local log
  log=$(mktemp)
  # The package lists of a fresh image may be empty or old, so they are fetched first.
  if ! $sudo sh -c "apt-get update && DEBIAN_FRONTEND=noninteractive $install" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    fail "the installation failed (see above). To repeat it by hand:" "  ${sudo:+sudo }$install"
  fi
  rm -f "$log"
}

check_swift
mapfile -t missing < <(missing_packages | tr ' ' '\n')
if [ "$dry_run" = yes ]; then
  if [ "${#missing[@]}" -eq 0 ]; then
    echo "setup: nothing is missing"
  else
    echo "setup: would run: apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
  fi
  exit 0
fi
if [ "${#missing[@]}" -gt 0 ]; then
  install_packages "${missing[@]}"
  mapfile -t missing < <(missing_packages | tr ' ' '\n')
  [ "${#missing[@]}" -eq 0 ] || fail "the packages are installed, but pkg-config still finds nothing for: ${missing[*]}"
fi
