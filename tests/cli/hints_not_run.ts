/** Texts with a command line that hint_commands_test.ts does not run, each with the reason. */

/** Programs of others: what the texts say of them needs an account, or changes more than a project. */
export const OTHER_PROGRAMS: Readonly<Record<string, string>> = {
  aws: "needs an account at AWS",
  curl: "fetches from the network",
  doppler: "needs an account at Doppler",
  pscale: "needs an account at PlanetScale",
  sqlite3: "needs SQLite's own shell",
  supabase: "needs an account at Supabase",
  tigris: "needs an account at Tigris",
  turso: "needs an account at Turso",
  vault: "needs Vault's own program",
};

/** Texts by the reason why they are not run. */
export const NOT_RUN: Readonly<Record<string, readonly string[]>> = {
  "it names a task, and the words of the user's own program belong after it": [
    "Use `deno task envs:run`, which has the permission set run",
    "Use `deno task envs:{}`, which has the permission set {}{}",
  ],
  "it describes an option, a page or a server's answer to an S3 client; nobody is to paste it": [
    "CORSResponse: This CORS request is not allowed; see `forkstack serve --cors`",
    "Access Denied: `forkstack new` makes buckets",
    "Access Denied: `forkstack delete` removes buckets",
    "{}; `forkstack new` will stop on it",
    "The port on 127.0.0.1 at which `forkstack serve` serves the buckets over S3; {} if not given",
    "Neon ends branches by itself within 30 days only: this one stays until `forkstack prune`",
  ],
  "tests/cli/init_urls_test.ts and init_postgres_test.ts bring it about, and run the line for one server": [
    ", with `{}` above",
    "; `forkstack import dev {}` copies its data",
    "`forkstack import dev {}`",
  ],
  "it is for Make, where tests/cli/init_make_test.ts brings it about": [
    ", as in `forkstack {}`",
    "{} (`make -- envs-… {}`)",
  ],
  "it installs a program of the system, or is for one": [
    "`apt install sqlite3`, `brew install sqlite`, or https://sqlite.org/download.html",
    "`apt install postgresql-client`, `brew install libpq`, or https://www.postgresql.org/download/",
    "`apt install default-mysql-client`, or `brew install mysql-client`",
    "`apt install redis-tools`, or `brew install redis`",
  ],
  "tests/cli/{connect,env,import,seed}_test.ts bring it about; the user's own program, key or source belongs into it": [
    "Dump it again in UTF-8, or convert it: `iconv -f <its encoding> -t utf-8 old.sql > new.sql`",
    "Run the vendor's own with the variables: `forkstack run -- <program>`",
    "`forkstack status {}` lists the variables",
    "Next: `forkstack new alice --from dev` forks it",
    "Not seeded: Deno may run no shell here. `forkstack seed {}` does",
    "Fix what it says, then run `forkstack seed {}`; the environment stands",
    "Import into dev, then fork it: `forkstack new {} --from dev`, or `forkstack reset {}`",
    "`forkstack secrets set <key> dev` sets a value, and `forkstack secrets copy` copies them between environments",
    "`forkstack connect cache dev < commands.txt` sends Redis' commands",
    "Fill {} of dev by the vendor's own means: `forkstack run dev -- <program>`",
    "Choose another format, or print one variable: `forkstack env <env> <KEY> --reveal`",
    "`forkstack import --help` lists what can be imported",
    "`forkstack connect database dev < dump.sql` runs a plain dump; https://neon.com/docs/import/import-intro has more ways",
    "`forkstack connect database dev < dump.sql` runs a plain dump; https://supabase.com/docs/guides/platform/migrating-to-supabase/postgres has more ways",
    "`forkstack run dev -- sh -c 'aws s3 sync ./uploads s3://$BUCKET_NAME'` copies a directory to it",
  ],
  "tests/core/lifecycle/reset_test.ts brings it about": [
    "Reset the others by `{}`; or: {}",
  ],
  "it is SQL": ["`{}`\\s*\\.|\\b{}\\.", "DROP {} `{}`"],
  "it changes the user's own settings of git, for every repository": [
    "If you trust it, run `{}`; in a container or CI, set safe.directory by GIT_CONFIG_COUNT",
  ],
  "the moment is a race or a signal, which tests/reliability and core/lifecycle/overtaken_test.ts bring about": [
    "Remove the rest with `forkstack delete {}`, or try again with `forkstack new {}`",
    "still shown by its vendor: {}; see `forkstack doctor`",
    "Continue with `forkstack new {}`, or remove it",
    "Run `forkstack status` to see what it did",
    "Run `forkstack reset {}` again",
    "Fix the cause and run `forkstack delete {} --purge` again",
    "`find .git -not -type f -not -type d` lists them; then look whether the disk answers",
  ],
  "what it needs is a row, a mark or a file that only another version or another user writes": [
    "lease unknown: it never expires unless you run `forkstack extend {} 3d`",
    "Fix the cause, then run `forkstack doctor`",
    "Fix the cause, then run `forkstack doctor --deep`",
    "If it is yours, write it into {} in forkstack.json as it was, and run `forkstack trust`",
    "Read it, then run `forkstack trust`; for CI `forkstack trust --dry-run` prints what FORKSTACK_TRUST must hold",
    "Look at it. If it is not yours, remove it, then run `forkstack trust`",
  ],
  "a server of the vendor is needed; tests/providers brings it about, and the same command runs in another scenario": [
    "Check the name; `forkstack doctor` shows what is there",
    "`forkstack doctor` shows what is there",
    "`forkstack doctor` shows what is there; the server is in ",
    "Run `forkstack doctor` to see what is there",
    "Raise maxmemory, `forkstack prune`, or fork with --empty, on the server in ",
    "Raise maxmemory, remove unused envs with `forkstack prune`, or start without data by --empty",
    'Remove unused envs with `forkstack prune`, raise `databases` in the server\'s configuration, or set "isolation": "prefix"',
    'Remove unused envs with `forkstack prune`, or set "plan" to "payg": https://upstash.com/pricing',
    "Remove unused envs with `forkstack prune`, or raise the plan",
    "Remove unused envs with `forkstack prune`: https://upstash.com/pricing/qstash",
    "Remove unused envs with `forkstack prune`, or raise the limit in the dashboard",
    "Remove unused envs with `forkstack prune`, or raise the plan: https://neon.com/docs/introduction/plans",
    "Remove unused envs with `forkstack prune`, or set `database.schemaOnly` to false",
    "Create it there, or use another environment: `forkstack switch dev`",
    "Make or remove it with `forkstack secrets set {}`, which marks it as the environment's",
  ],
};
