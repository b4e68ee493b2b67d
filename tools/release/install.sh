#!/bin/sh
# Installs the program forkstack for this machine: fetches it, compares its SHA-256 with the list of the release, and puts
# it into ~/.local/bin. Nothing is left behind if anything fails.
#
#   FORKSTACK_DOWNLOAD   address of the release's files, where it is not the one below
#   FORKSTACK_INSTALL    directory for the program; default: ~/.local/bin
set -eu

download=${FORKSTACK_DOWNLOAD:-@DOWNLOAD@}
directory=${FORKSTACK_INSTALL:-$HOME/.local/bin}

fail() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

target() {
  case $(uname -s) in
    Linux) system=linux ;;
    Darwin) system=darwin ;;
    *) fail "Cannot install forkstack on $(uname -s): there are programs for Linux, macOS and Windows" ;;
  esac
  case $(uname -m) in
    x86_64 | amd64) machine=x64 ;;
    aarch64 | arm64) machine=arm64 ;;
    *) fail "Cannot install forkstack on a processor $(uname -m): there are programs for x64 and arm64" ;;
  esac
  if [ "$system" = linux ] && ls /lib/ld-musl-* >/dev/null 2>&1 && ! ls /lib*/ld-linux-* /lib/*/ld-linux-* >/dev/null 2>&1; then
    fail "Cannot install forkstack here: the program needs glibc, and this system has musl; the npm package runs in Node"
  fi
  echo "$system-$machine"
}

# get <address> <file>
get() {
  if command -v curl >/dev/null 2>&1; then
    curl --fail --silent --show-error --location --output "$2" "$1"
  elif command -v wget >/dev/null 2>&1; then
    wget -q -O "$2" "$1"
  else
    fail "Cannot fetch $1: neither curl nor wget is installed"
  fi || fail "Cannot fetch $1"
}

sum_of() {
  if command -v sha256sum >/dev/null 2>&1; then
    sha256sum "$1" | cut -d ' ' -f 1
  elif command -v shasum >/dev/null 2>&1; then
    shasum -a 256 "$1" | cut -d ' ' -f 1
  else
    fail "Cannot check what was fetched: neither sha256sum nor shasum is installed"
  fi
}

case $download in
  https://* | http://127.0.0.1:* | http://localhost:*) ;;
  *) fail "Cannot fetch from $download: only https is safe on the way" ;;
esac

# All in a function, so that a download of this file that is cut off runs nothing.
main() {
  name=forkstack-$(target)
  mkdir -p "$directory"
  work=$(mktemp -d "$directory/.forkstack-install-XXXXXX") # on the same file system: the last step is one rename
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT TERM HUP
  get "$download/SHA256SUMS" "$work/sums"
  get "$download/$name" "$work/forkstack"
  wanted=$(awk -v name="$name" '$2 == name { print $1 }' "$work/sums")
  [ -n "$wanted" ] || fail "Cannot check $name: SHA256SUMS has no line for it"
  found=$(sum_of "$work/forkstack")
  [ "$found" = "$wanted" ] || fail "Cannot install $name: its SHA-256 is $found, and SHA256SUMS says $wanted"
  chmod 755 "$work/forkstack"
  version=$("$work/forkstack" --version) || fail "Cannot install $name: the program does not run on this machine"
  mv -f "$work/forkstack" "$directory/forkstack"
  echo "Installed forkstack $version: $directory/forkstack"
  case ":$PATH:" in
    *":$directory:"*) echo "Next: forkstack new alice" ;;
    *) echo "Next: add $directory to PATH, then: forkstack new alice" ;;
  esac
}

main
