/**
 * The pages of help, read when somebody asks for one.
 * Written by `deno task gen` from core/cli/commands/*.ts and core/cli/shared.ts: change those.
 *
 * @module
 */
import type { Page } from "./command.ts";
import type { OptionName } from "./command_table.ts";

/** Defaults of options that take a value; an option without a value is off. */
export const DEFAULTS: Readonly<Partial<Record<OptionName, string>>> = {
  from: '"parent" in forkstack.json, else prod (dev for a local stack)',
  at: "now",
  ttl: '"ttl" in forkstack.json, else it never expires',
  idle: "delete the expired ones",
  stack: "what the project's files tell, else sqlite-local; asked on a terminal",
  template: "none: the project is there",
  project: "from package.json or deno.json, the git remote, or the directory",
  set: "asked on a terminal, else see docs/choosing-a-stack.md",
  port: '"port" of the storage in forkstack.json, else 7833',
  format: "shell",
  cors: "none",
  resource: "all; of the secrets the only one",
};

/** The page of each command. */
export const PAGES: Readonly<Record<string, Page>> = {
  new: {
    about: [
      "Forks every resource in forkstack.json from the parent: all of them or none. Then it writes the variables and points this directory at the new environment. Without a forkstack.json it first creates a project here, with the local stack that needs no account.",
      "After a crash, a lost connection or Ctrl-C, run the same command again: it continues. `forkstack delete` removes what was created so far.",
      "If the environment already exists, `new` checks each resource and switches to it. A missing resource is forked again (asks first); the others are not changed. If a vendor does not answer, the command fails. An environment of another registry is refused; if that registry is lost, pass --adopt.",
    ],
    meanings: {
      "[name]":
        '1 to 63 characters: a-z, 0-9, and "-" inside. Default: the name of the git branch (Feature/Müller gives feature-muller), else of the directory if no branch is checked out, else a generated name',
    },
    examples: [
      ["new alice", "forks the default parent"],
      ["new pr-42 --from dev --ttl 3d", "forks dev; expires in three days"],
      ["new fix --from prod --at 2h", "forks prod as it was two hours ago, if the vendor can do that"],
      ["new alice --dry-run --json", "prints the plan as JSON and creates nothing"],
    ],
    exits: { 3: "", 4: "", 5: "", 6: "", 7: "" },
    files: {
      "forkstack.json": "describes the stack; created if it is missing",
      ".forkstack/envs/": "the variables of each environment; only you can read them (mode 0600)",
      ".env.local": "the variables of the current environment, in a marked block; your own lines never change",
      ".current-env": "names the current environment; FORKSTACK_ENV and ENV come first",
      ".forkstack/registry.db":
        "environments, resources and the journal; or a server, with `registry` in forkstack.json",
      credentials: "environment variables of the vendors, e.g. TURSO_API_TOKEN; see the provider's page in docs/",
    },
    seeAlso: ["switch", "delete", "status", "docs/reliability.md"],
  },
  switch: {
    about: [
      "Writes .current-env and the forkstack block in .env.local. The app uses the new environment after its next start. No resource changes. dev and prod always exist; their variables are read from the vendors each time.",
      "First it checks each resource. It stops if one is missing or is owned by something else. If a vendor does not answer within 3 s, it warns and continues, so switching works offline if this machine has the variables.",
    ],
    meanings: { "<env>": "a name from `forkstack list`, or dev or prod" },
    examples: [["switch alice", "the app uses alice after its next start"], [
      "switch dev",
      "goes back to the shared environment",
    ], ["switch alice --dry-run", "shows what alice contains and changes nothing"]],
    exits: { 3: "", 4: "", 5: "", 6: "" },
    files: {
      ".env.local": "the variables of that environment, in a marked block; your own lines never change",
      ".current-env": "names the current environment; FORKSTACK_ENV and ENV come first",
      ".forkstack/envs/": "the variables of each environment; only you can read them (mode 0600)",
    },
    seeAlso: ["list", "status", "new"],
  },
  delete: {
    about: [
      "Deletes every resource that forkstack created for the environment (asks first). It reads the mark of each resource again and deletes it by the vendor's id. Resources without our mark are kept and named.",
      "If this directory uses the environment, .current-env and the forkstack block in .env.local are removed; your own lines never change. A main git worktree then uses dev, a linked worktree uses no environment. Other directories that use it are named: their apps stop with ENV_UNKNOWN.",
      'Some secrets providers keep a backup; --purge deletes it too. dev, prod and the environments in "protected" of forkstack.json are never deleted.',
      "An environment that is missing in the registry is searched for by its marks at the vendors. Resources of this registry are deleted (asks first); those of another registry only with --adopt, if that registry is lost.",
    ],
    meanings: { "<env>": "a name from `forkstack list`, whatever its status" },
    examples: [
      ["delete alice", "asks, then deletes alice"],
      ["delete pr-42 --if-exists --yes", "for scripts: does not ask; succeeds if pr-42 does not exist"],
      ["delete alice --purge --yes", "deletes backups too"],
      ["delete alice --dry-run", "shows what would be deleted"],
    ],
    exits: { 3: "", 4: "", 5: "", 6: "", 7: "" },
    files: {
      ".forkstack/registry.db":
        "environments, resources and the journal; or a server, with `registry` in forkstack.json",
      ".current-env": "removed if it names the environment",
      ".env.local": "loses the forkstack block; deleted if nothing else is in it",
      credentials: "environment variables of the vendors, e.g. TURSO_API_TOKEN; see the provider's page in docs/",
    },
    seeAlso: ["prune", "switch", "docs/ci.md", "docs/secrets.md"],
  },
  run: {
    about: [
      "Runs a program with the variables of an environment; variables of another environment in the shell are removed. Write the program and its arguments after --. This directory does not switch. With --secrets the program also gets the secrets as variables.",
      "Local buckets are served on a free port while the program runs. The program has the terminal and receives every signal; if it ignores a signal, it keeps running. The exit code is that of the program, or 128 plus the signal number.",
      "There is no --json: the output belongs to the program.",
    ],
    meanings: { "[env]": "the environment. Default: the current one" },
    examples: [["run alice -- uvicorn app:app", "runs a Python server in alice"], [
      "run -- sh -c 'echo $DATABASE_URL'",
      "in the current environment; sh expands the variable",
    ], ["run alice --secrets -- npm start", "with the secrets of alice"]],
    exits: {
      3: "",
      4: "the environment does not exist",
      5: "the environment is incomplete or expired, or its file belongs to another environment",
      6: "",
      126: "",
      127: "",
    },
    files: {
      ".forkstack/envs/<env>.env": "the variables of the environment; only you can read them (mode 0600)",
      FORKSTACK_ENV: "set for the program; mod.ts checks it",
      FORKSTACK_RUN: "set for the program: names of the variables that no file has",
    },
    seeAlso: ["switch", "serve", "secrets", "docs/variables.md"],
  },
  reset: {
    about: [
      "Forks the parent again and swaps the new forks in when all are ready (asks first). If something fails before that, the old data stays. Names and most variables do not change. A program that has the database open keeps the old data until it restarts.",
      "--resource takes the resources to reset, with commas between, where not all are to be or one can't be.",
    ],
    meanings: { "<env>": "a name from `forkstack list`" },
    examples: [
      ["reset alice", "asks, then starts again from the parent's data"],
      ["reset alice --resource database,queue", "leaves the others as they are"],
      ["reset alice --yes --json", "for scripts"],
      ["reset alice --dry-run", "shows what would be replaced"],
    ],
    exits: { 3: "", 4: "", 5: "", 6: "", 7: "" },
    files: {
      ".forkstack/registry.db":
        "environments, resources and the journal; or a server, with `registry` in forkstack.json",
      credentials: "environment variables of the vendors, e.g. TURSO_API_TOKEN; see the provider's page in docs/",
    },
    seeAlso: ["new", "docs/reliability.md"],
  },
  extend: {
    about: [
      "Adds the time to the end of the lease, or to now if the lease has ended or never existed. If the vendor stores the lease too, or a credential expires with it, both are renewed.",
    ],
    meanings: { "<env>": "a name from `forkstack list`", "<time>": "90m, 12h, 3d or 2w; at most ten years" },
    examples: [["extend alice 2d", "two more days"], [
      "extend pr-42 12h --json",
      "for scripts: `expiresAt` is the new end",
    ]],
    exits: { 3: "", 4: "", 5: "", 6: "" },
    files: {
      ".forkstack/registry.db":
        "environments, resources and the journal; or a server, with `registry` in forkstack.json",
      credentials: "environment variables of the vendors, e.g. TURSO_API_TOKEN; see the provider's page in docs/",
    },
    seeAlso: ["prune", "status"],
  },
  prune: {
    about: [
      "Deletes every environment whose lease has ended, or with --idle every environment that nobody switched to for that time (asks first). Each is deleted as with `forkstack delete`. One failure does not stop the others. Protected environments are kept.",
      "Environments that only marks at the vendors show are listed and never deleted.",
    ],
    examples: [["prune --dry-run", "shows what would be deleted"], ["prune --yes", "for a nightly job"], [
      "prune --idle 7d",
      "deletes those not used for a week",
    ]],
    exits: { 3: "", 5: "", 6: "", 7: "" },
    files: {
      ".forkstack/registry.db":
        "environments, resources and the journal; or a server, with `registry` in forkstack.json",
      credentials: "environment variables of the vendors, e.g. TURSO_API_TOKEN; see the provider's page in docs/",
    },
    seeAlso: ["extend", "delete", "list"],
  },
  secrets: {
    about: [
      "Actions: list [env], get <key> [env], set <key> [env], unset <key> [env], diff <env> [env], copy <key or A_*> <from> [to], edit [env].",
      "set reads the value from stdin, never from the command line. Values are printed only to a pipe or with --reveal. A change in a protected environment asks first. edit opens VISUAL or EDITOR on a file that only you can read, and always deletes the file. If two people edit the same key, the later save is refused.",
    ],
    meanings: {
      "<action>": "list, get, set, unset, diff, copy or edit",
      "[key]": "the key of a secret; for copy also a pattern; for list, diff and edit an environment",
      "[env]": "an environment. Default: the current one. The second one is the one to compare with or to copy to",
    },
    examples: [
      ["secrets list", "lists the keys of the current environment"],
      ["secrets set API_KEY alice < key.txt", "reads the value from a file"],
      ["secrets diff alice prod", "shows which keys differ, without values"],
      ["secrets copy 'STRIPE_*' prod alice", "copies the keys that match"],
    ],
    exits: { 3: "", 4: "the environment or the secret does not exist", 5: "", 6: "" },
    files: {
      ".forkstack/secrets/": "the secrets, if the provider is env-file",
      "VISUAL, EDITOR": "the editor that edit opens; default vi",
      credentials: "environment variables of the vendors, e.g. TURSO_API_TOKEN; see the provider's page in docs/",
    },
    seeAlso: ["status", "docs/secrets.md"],
  },
  doctor: {
    about: [
      "Compares the registry with the vendors and with this directory. It finds environments that are unfinished or expired, resources that are missing, unrecorded or owned by something else, a block in .env.local that contradicts .current-env, other directories that use a deleted environment, and a .forkstack that was copied from another directory. Each problem comes with the command that fixes it. Only --fix changes something: it makes the safe fixes (asks first).",
      "--deep also reads all data of SQLite databases, those of dev and prod included, by SQLite's own integrity check. It may take minutes. `new` looks at the header, the roots of tables and the free list alone.",
      "--rebuild is for a lost or damaged registry. It drops damaged rows and finds the environments again by the marks on their resources, with parents and leases if the marks have them. Add --adopt to take over the environments of another registry. That registry must be lost: two registries with the same environments delete each other's.",
    ],
    examples: [["doctor", "lists the problems"], ["doctor --deep", "reads all data of SQLite databases, too"], [
      "doctor --rebuild",
      "restores a lost registry",
    ], ["doctor --json", "for a monitor: `findings` is empty if there are no problems"]],
    exits: { 1: "there is at least one error", 3: "", 5: "", 6: "" },
    files: {
      ".forkstack/registry.db":
        "environments, resources and the journal; or a server, with `registry` in forkstack.json",
      credentials: "environment variables of the vendors, e.g. TURSO_API_TOKEN; see the provider's page in docs/",
    },
    seeAlso: ["list", "delete", "docs/reliability.md"],
  },
  list: {
    about: [
      "Prints one line for each environment in the registry, sorted by name; * marks the current one. Other directories that use an environment are in its line. Backups of deleted environments are listed below. No vendor is asked.",
    ],
    examples: [["list", "shows names, parents and leases"], [
      "list --json",
      "for a program; times are RFC 3339 in UTC",
    ]],
    exits: { 5: "", 6: "the shared registry did not answer" },
    files: {
      ".forkstack/registry.db":
        "environments, resources and the journal; or a server, with `registry` in forkstack.json",
      ".current-env": "names the current environment; FORKSTACK_ENV and ENV come first",
      FORKSTACK_REGISTRY_TOKEN: "the token of a registry that a team shares",
    },
    seeAlso: ["status", "prune", "doctor"],
  },
  status: {
    about: [
      "Shows what the registry says about an environment: status, parent, owner, lease, its resources by the vendors' names, and the names of its variables, without values. No vendor is asked; `forkstack doctor` asks them. If a shared registry does not answer, it shows what the files on this machine say.",
    ],
    meanings: { "[env]": "a name from `forkstack list`. Default: the current environment" },
    examples: [["status", "the current environment"], ["status alice", "another environment"], [
      "status alice --json",
      "for a program",
    ]],
    exits: { 4: "", 5: "", 6: "" },
    files: {
      ".forkstack/registry.db":
        "environments, resources and the journal; or a server, with `registry` in forkstack.json",
      ".current-env": "names the current environment; FORKSTACK_ENV and ENV come first",
    },
    seeAlso: ["list", "doctor"],
  },
  trust: {
    about: [
      "A repository can name code, hosts and files outside of it: a custom provider, a `sanitize` script, an endpoint that is neither the vendor's nor on this machine, a shared registry. forkstack runs none of them and sends nothing there until you have seen them and agreed. A command that needs one asks on a terminal; without a terminal it fails with NOT_TRUSTED.",
      "Your answer holds for exactly what was shown, including the contents of files, in every worktree of the repository. If something changes, forkstack shows the difference and asks again.",
    ],
    examples: [
      ["trust", "shows what is new and asks"],
      ["trust --dry-run", "shows everything, and the hash for FORKSTACK_TRUST"],
      ["trust --yes", "for your own scripts: does not ask"],
      ["trust --revoke", "trusts nothing of this project any more"],
    ],
    exits: { 4: "a file that forkstack.json names does not exist", 6: "" },
    files: {
      "forkstack.json": "what the repository names",
      FORKSTACK_TRUST: "the hash of what is trusted, for CI, where nobody can be asked",
      "~/.local/state/forkstack/":
        "what you trusted; $XDG_STATE_HOME/forkstack if it is set, %LOCALAPPDATA%\\forkstack on Windows",
    },
    seeAlso: ["permissions", "docs/security.md"],
  },
  permissions: {
    about: [
      "Prints a permission set for deno.json: the hosts and programs of the providers in forkstack.json, and nothing else. Every command works with this set. No vendor is asked and nothing changes.",
    ],
    examples: [["permissions", 'prints what belongs under "permissions" in deno.json'], [
      "permissions --json",
      "for a program",
    ]],
    files: {
      "forkstack.json": "the providers and their options",
      "POSTGRES_URL, VALKEY_URL": "contain hosts; a warning names each one that is not set",
    },
    seeAlso: ["doctor", "docs/security.md"],
  },
  init: {
    about: [
      "Writes what the project is missing, all of it or nothing: forkstack.json, lines in .gitignore, and a task envs:… for each command, in deno.json, as scripts in package.json, or as targets of Make (make envs-new alice) for Python, Go and other languages. On a terminal it asks for what it needs, and asks again before it writes. Your own lines never change. Run it again to add what is missing later.",
      "The stack fits what is there: env files, compose file, Prisma, Drizzle, Django, packages of any language, and a SQLite file tell which database and cache the project uses on this machine. It ends with the commands that copy the data of that database into dev, and fork it.",
      "It lists the credentials that the stack needs, whether they are set and where to get them, and warns about an .env file that leads to production. It prints no passwords.",
    ],
    examples: [
      ["init", "asks; without a terminal it sets up what the project's files tell"],
      [
        "init --stack neon-s3-vault --set database.projectId=late-frost-12345 --yes",
        "a named stack with an option; does not ask",
      ],
      ["init --dry-run", "shows every line and writes nothing"],
      ["init --template python", "begins a new project here: FastAPI, SQLAlchemy, Alembic"],
    ],
    exits: {
      5: "forkstack.json exists and says something else, a file is in the place of a template's, or files changed during the run",
    },
    files: {
      "forkstack.json": "describes the stack; not changed if it exists",
      "deno.json, package.json, Makefile":
        "the tasks; Make's are in envs.mk, and forkstack.deno.json has the program's URL",
      ".gitignore": "keeps forkstack's files out of git",
      ".env*, compose.yaml, manifests, *.db": "tell which database and cache the project uses",
      ".env": "checked for values that lead to production",
    },
    seeAlso: ["new", "doctor", "docs/getting-started.md"],
  },
  serve: {
    about: [
      "Serves the buckets of every environment whose storage is `local` to S3 clients on this machine, at 127.0.0.1, until Ctrl-C. Each environment has its own key, which opens only its own buckets. The key is in the variables of the environment.",
    ],
    examples: [
      ["serve", "on the port that the variables name"],
      ["serve --port 9000", "on another port; set AWS_ENDPOINT_URL_S3 for the app"],
      ["serve --port 0", "on any free port"],
      ["serve --cors http://localhost:5173", "browser pages of this origin can use presigned URLs"],
    ],
    exits: { 5: "the port is in use" },
    files: {
      ".forkstack/buckets/": "the objects, one directory for each bucket",
      ".forkstack/buckets.key": "the secret from which the keys are derived",
    },
    seeAlso: ["status", "docs/storage.md"],
  },
  completions: {
    about: [
      "Prints a script that completes commands, options, environments and other arguments on Tab. The script asks this program each time, so it stays valid after an update. It sends nothing over the network.",
      'bash: put eval "$(forkstack completions bash)" into ~/.bashrc.',
      'zsh: put eval "$(forkstack completions zsh)" into ~/.zshrc, after compinit; or save it as _forkstack in a directory of fpath.',
      "fish: save it as ~/.config/fish/completions/forkstack.fish.",
      "It completes the command forkstack. If you only have Deno tasks, add this function before that line (bash and zsh):",
      '  forkstack() { deno task -q "envs:$1" "${@:2}"; }',
    ],
    meanings: { "<shell>": "bash, zsh or fish" },
    examples: [["completions bash", "prints the script for bash"], ["completions fish", "prints the script for fish"]],
    files: { ".forkstack/": "where the names of the environments are read" },
    seeAlso: ["list", "docs/getting-started.md"],
  },
  url: {
    about: [
      "Prints the URL that the app gets: the value of DATABASE_URL, CACHE_URL or QUEUE_URL, as `getDatabaseUrl()` and its like return it. It is read from the files on this machine. No vendor and no registry is asked.",
      "A URL may hold a password. On a terminal and with --json it is printed only with --reveal; a pipe always gets it. The URL of a SQLite file holds none, and is always printed. A Turso database also needs DATABASE_AUTH_TOKEN.",
    ],
    meanings: {
      "[resource]": "a kind or a name, e.g. cache or cache.sessions. Default: database",
      "[env]": "an environment. Default: the current one",
    },
    examples: [["url", "prints the URL of the current environment's database"], [
      "url cache.sessions alice --reveal",
      "prints the URL of one cache of alice on a terminal",
    ], ["url --json --reveal", "for a program"]],
    exits: { 4: "this machine has no such environment", 5: "" },
    files: {
      ".forkstack/envs/<env>.env": "the variables of one environment, mode 0600",
      ".current-env": "names the current environment; FORKSTACK_ENV and ENV come first",
    },
    seeAlso: ["env", "connect", "run", "docs/variables.md"],
  },
  import: {
    about: [
      "Copies data into dev, so that new environments can fork it: a SQLite file, also one in use, or its .sql dump; a PostgreSQL or MySQL database by its URL, or a dump of it; a directory for local files or buckets. The original does not change. If anything fails, dev is as it was.",
      "What dev holds already is kept: with --replace the new data takes its place. prod never changes.",
      "Other programs can read a password in an argument. Put such a URL into a variable, and pass the variable's name.",
    ],
    meanings: {
      "<env>": "dev; no other environment takes data from outside",
      "<source>": "a file, a directory, the URL of a running database, or the name of a variable that holds one",
      "[resource]": "where it goes, e.g. storage.uploads. Default: the only resource that takes such data",
    },
    examples: [
      ["import dev ./prisma/dev.db", "copies a SQLite file"],
      ["import dev OLD_DATABASE_URL", "copies the database whose URL is in that variable"],
      ["import dev shop.dump database --replace", "puts a dump in the place of what dev has"],
      ["import dev ./public/uploads storage.uploads", "fills a bucket on this machine"],
    ],
    exits: { 3: "", 4: "there is no such file, directory or database", 5: "", 6: "" },
    files: {
      "forkstack.json": "`bases` sets the names of resources of dev",
      credentials: "environment variables of the vendors, e.g. TURSO_API_TOKEN; see the provider's page in docs/",
    },
    seeAlso: ["new", "reset", "seed", "docs/import.md"],
  },
  seed: {
    about: [
      'Runs the command of "seed" in forkstack.json, e.g. "npm run seed", with the variables of an environment, as `forkstack run` does. A shell runs it in the directory of forkstack.json, and what it prints goes to stderr. In dev, which others fork, it asks first.',
      "`forkstack new` runs it by itself in a new environment without data: with --empty, or if the parent's database has none. Like all that a repository runs, the command needs trust first.",
    ],
    meanings: { "[env]": "the environment, not prod. Default: the current one" },
    examples: [["seed", "fills the current environment"], ["seed dev --yes", "fills dev without asking"], [
      "seed alice --dry-run",
      "prints the command and runs nothing",
    ]],
    exits: { 4: "", 5: "", 7: "the command failed" },
    files: { "forkstack.json": "`seed` is the command" },
    seeAlso: ["import", "run", "new", "docs/import.md"],
  },
  env: {
    about: [
      "Prints the variables of an environment as another program reads them. Variables that give access to something, such as a URL with a password, are left out, and named on stderr; --reveal prints them too. A value that a format cannot hold whole is an error.",
      "In GitHub Actions --format github also has the log hide what is secret.",
    ],
    meanings: {
      "[env]": "an environment. Default: the current one",
      "[key]": "one variable, e.g. DATABASE_URL: its value alone is printed",
    },
    examples: [["env --reveal", 'for a shell: eval "$(forkstack env --reveal)"'], [
      "env alice DATABASE_URL --reveal",
      "prints one value",
    ], ["env pr-42 --format github --reveal", "for a step of GitHub Actions: append it to $GITHUB_ENV"]],
    exits: { 3: "", 4: "", 5: "", 6: "" },
    files: {
      ".forkstack/envs/<env>.env": "the variables of the environment; only you can read them (mode 0600)",
      GITHUB_ACTIONS: "true in a step of GitHub Actions, which then gets its masks on stderr",
    },
    seeAlso: ["url", "connect", "run", "docs/variables.md"],
  },
  connect: {
    about: [
      "Opens psql, sqlite3, mysql or redis-cli, whichever speaks the protocol of the URL. It gets what the URL says, and none of the environment's other variables. The password goes to it by its environment, never by an argument. What comes by a pipe is run: `forkstack connect database dev < dump.sql`.",
      "The exit code is that of the client. There is no --json: the output belongs to it.",
    ],
    meanings: {
      "[resource]": "what to open: a kind, or a name such as cache.sessions. Default: database",
      "[env]": "an environment. Default: the current one",
    },
    examples: [["connect", "opens the database of the current environment"], [
      "connect cache.sessions alice",
      "opens one cache of alice",
    ]],
    exits: { 4: "", 5: "", 6: "", 127: "" },
    files: { ".forkstack/envs/<env>.env": "the variables of the environment; only you can read them (mode 0600)" },
    seeAlso: ["url", "run", "docs/variables.md"],
  },
};
