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
  from: '"parent" of forkstack.json, else prod, or dev for a stack without vendors',
  at: "as the parent is now",
  ttl: '"ttl" of forkstack.json, else without end',
  idle: "those whose lease has ended",
  stack: "sqlite-local; on a terminal it is asked for",
  project: "the name in package.json or deno.json, of the git remote, or of the directory",
  set: "what docs/init.md says of the stack; on a terminal it is asked for",
  port: '"port" of the storage in forkstack.json, else 7833',
  cors: "no page may read anything",
  resource: "the only one",
};

/** The page of each command. */
export const PAGES: Readonly<Record<string, Page>> = {
  new: {
    about: [
      "Forks every resource of forkstack.json from the parent, all of them or none, writes the variables, and points this directory at the new environment. Resources are made side by side. Without a forkstack.json it begins a project here, with the stack that needs no account.",
      "After a crash, a lost connection or Ctrl-C the same command, run again, finishes the work; `forkstack delete` takes back what was made. For an environment that is there already it looks at each resource, and changes nothing but what this directory points to. A resource that is gone is forked again, after asking or with --yes; the others stay as they are. A vendor that does not answer is an error. One that another registry made is refused; if that registry was lost, --adopt goes on with what it made.",
    ],
    meanings: {
      "[name]":
        "1 to 63 of a-z, 0-9 and - inside; left out, it is that of the git branch, feature-login of feature/Login, or of the directory where no branch is checked out; else one is made up",
    },
    examples: [
      ["new alice", "forks the default parent"],
      ["new pr-42 --from dev --ttl 3d", "forks dev, for three days"],
      ["new fix --from prod --at 2h", "forks prod as it was two hours ago, where the vendor can"],
      ["new alice --dry-run --json", "shows the plan to a program, and makes nothing"],
    ],
    exits: { 3: "", 4: "", 5: "", 6: "", 7: "" },
    files: {
      "forkstack.json": "the stack; written if there is none",
      ".forkstack/envs/": "the variables of each environment, mode 0600",
      ".env.local": "the variables of the current one, for the app, in a block; your own lines stay",
      ".current-env": "says which environment is current; FORKSTACK_ENV, then ENV, decide before it",
      ".forkstack/registry.db": "environments, resources and journal; elsewhere with `registry` in forkstack.json",
      credentials: "the vendors' own variables, e.g. TURSO_API_TOKEN: see the page of the provider",
    },
    seeAlso: ["switch", "delete", "status", "docs/reliability.md"],
  },
  switch: {
    about: [
      "Writes its block in .env.local, and .current-env, so that the app uses that environment from its next start. It changes no resource. dev and prod always count as there, though nobody made them; their variables are asked of the vendors each time.",
      "First it looks at each resource. One that is gone, or is another's by now, stops it. A vendor that does not answer within 3 s is a warning, so that it works without a network, too, where this machine has the variables.",
    ],
    meanings: { "<env>": "an environment of `forkstack list`, or dev, or prod" },
    examples: [["switch alice", "the app uses alice from its next start"], [
      "switch dev",
      "back to what everybody shares",
    ], ["switch alice --dry-run", "shows what it holds, and changes nothing"]],
    exits: { 3: "", 4: "", 5: "", 6: "" },
    files: {
      ".env.local": "the variables of that environment, in a block; your own lines stay",
      ".current-env": "says which environment is current; FORKSTACK_ENV, then ENV, decide before it",
      ".forkstack/envs/": "the variables of one environment, mode 0600",
    },
    seeAlso: ["list", "status", "new"],
  },
  delete: {
    about: [
      "Deletes every resource that forkstack made for the environment, after asking. Each is deleted by the vendor's own id, once its mark was read again; what is not ours stays and is named. If this directory is on the environment, it is on none from then on: .current-env and the block in .env.local go, your own lines stay. No other environment takes its place, and nothing of the parent is needed. Other directories on it are named; their pointers stay, and the app there stops with ENV_UNKNOWN.",
      "Some providers of secrets keep a backup; --purge takes it away, at once or later. Environments in `protected` of forkstack.json, dev and prod are never deleted.",
      "An environment that the registry does not know is looked for by its marks at the vendors. Those of this registry go, after asking; those of another one with --adopt alone, which says that it was lost. --if-exists is for scripts: exit 0 where there is none.",
    ],
    meanings: { "<env>": "an environment of `forkstack list`, in whatever state it is" },
    examples: [
      ["delete alice", "asks, and deletes it"],
      ["delete pr-42 --if-exists --yes", "does not ask, and it may be gone: for scripts"],
      ["delete alice --purge --yes", "with its backups"],
      ["delete alice --dry-run", "says what would go"],
    ],
    exits: { 3: "", 4: "", 5: "", 6: "", 7: "" },
    files: {
      ".forkstack/registry.db": "environments, resources and journal; elsewhere with `registry` in forkstack.json",
      ".current-env": "removed where it names the environment",
      ".env.local": "loses forkstack's block then, and keeps every other line; removed if nothing is left",
      credentials: "the vendors' own variables, e.g. TURSO_API_TOKEN: see the page of the provider",
    },
    seeAlso: ["prune", "switch", "docs/ci.md", "docs/secrets.md"],
  },
  run: {
    about: [
      "Runs any program with the variables of an environment in the place of those that the shell has of another one. What follows -- is the program and its arguments, word for word. Nothing is switched. With --secrets it gets the environment's secrets as variables, too.",
      "Local buckets are served for the program alone, on a free port, until it ends. The terminal is the program's; signals go on to it, each time that they come, and a program that ignores them goes on. It ends with the program's exit code, and with 128 and the signal's number where a signal ended it. --json is refused: what is printed is the program's own.",
    ],
    meanings: { "[env]": "the environment; by default the current one" },
    examples: [["run alice -- uvicorn app:app", "in alice, in any language"], [
      "run -- sh -c 'echo $DATABASE_URL'",
      "in the current one; what a shell is to read goes to one",
    ], ["run alice --secrets -- npm start", "with the secrets of alice"]],
    exits: {
      3: "",
      4: "there is no such environment",
      5: "it is not complete, its lease has ended, or its file is of another environment",
      6: "",
      126: "the program is not executable",
      127: "there is no such program",
    },
    files: {
      ".forkstack/envs/<env>.env": "the variables of one environment, mode 0600",
      FORKSTACK_ENV: "set for the program, so that the guard of mod.ts holds in it",
      FORKSTACK_RUN: "set for the program: the names of what no file tells",
    },
    seeAlso: ["switch", "serve", "secrets", "docs/run.md"],
  },
  reset: {
    about: [
      "Makes new forks of the parent aside, and puts them in the place of the old ones once all stand ready; a failure before that keeps the old data. Names and most variables stay the same. A program that has the database open goes on with the old one until it starts again.",
    ],
    meanings: { "<env>": "an environment of `forkstack list`" },
    examples: [["reset alice", "asks, and begins again from the parent's data"], [
      "reset alice --yes --json",
      "for scripts",
    ], ["reset alice --dry-run", "says what would be forked again"]],
    exits: { 3: "", 4: "", 5: "", 6: "", 7: "" },
    files: {
      ".forkstack/registry.db": "environments, resources and journal; elsewhere with `registry` in forkstack.json",
      credentials: "the vendors' own variables, e.g. TURSO_API_TOKEN: see the page of the provider",
    },
    seeAlso: ["new", "docs/reliability.md"],
  },
  extend: {
    about: [
      "Adds time to the lease: from its end, or from now where that is past or there is none. Where the vendor keeps the lease too, or a credential ends with it, both are renewed.",
    ],
    meanings: {
      "<env>": "an environment of `forkstack list`",
      "<time>": "how much longer: 90m, 12h, 3d or 2w; ten years at most",
    },
    examples: [["extend alice 2d", "two days more"], [
      "extend pr-42 12h --json",
      "for scripts; `expiresAt` is the new end",
    ]],
    exits: { 3: "", 4: "", 5: "", 6: "" },
    files: {
      ".forkstack/registry.db": "environments, resources and journal; elsewhere with `registry` in forkstack.json",
      credentials: "the vendors' own variables, e.g. TURSO_API_TOKEN: see the page of the provider",
    },
    seeAlso: ["prune", "status"],
  },
  prune: {
    about: [
      "Deletes every environment whose lease has ended, after asking, each as `forkstack delete` does; or with --idle those that nobody has switched to for so long. What fails does not stop the others. Protected environments stay. Where this directory is on one of them, it is on none from then on.",
      "Environments of which only marks at the vendors tell are listed, and never deleted.",
    ],
    examples: [["prune --dry-run", "says which would go"], ["prune --yes", "for a nightly job"], [
      "prune --idle 7d",
      "those not used for a week",
    ]],
    exits: { 3: "", 5: "", 6: "", 7: "" },
    files: {
      ".forkstack/registry.db": "environments, resources and journal; elsewhere with `registry` in forkstack.json",
      credentials: "the vendors' own variables, e.g. TURSO_API_TOKEN: see the page of the provider",
    },
    seeAlso: ["extend", "delete", "list"],
  },
  secrets: {
    about: [
      "Actions: list [env], get <key> [env], set <key> [env], unset <key> [env], diff <env> [env], copy <key or A_*> <from> [to], edit [env]. Without an environment it is the current one.",
      "Values come from stdin, never from the command line, and are shown to a pipe or with --reveal alone. A change of a protected environment asks. edit opens VISUAL or EDITOR on a file that only you can read, and removes it whatever happens; of two edits of one key the later is refused.",
    ],
    meanings: {
      "<action>": "list, get, set, unset, diff, copy or edit",
      "[key]": "a secret's key; for copy a pattern too, for diff, list and edit an environment",
      "[env]": "an environment; of two the second is compared with, or copied to",
    },
    examples: [
      ["secrets list", "the keys of the current environment"],
      ["secrets set API_KEY alice < key.txt", "the value comes from a file"],
      ["secrets diff alice prod", "which keys differ, without values"],
      ["secrets copy 'STRIPE_*' prod alice", "copies those that match"],
    ],
    exits: { 3: "", 4: "there is no such environment or secret", 5: "", 6: "" },
    files: {
      ".forkstack/secrets/": "the secrets, where the provider is env-file",
      "VISUAL, EDITOR": "the editor of edit; vi without them",
      credentials: "the vendors' own variables, e.g. TURSO_API_TOKEN: see the page of the provider",
    },
    seeAlso: ["status", "docs/secrets.md"],
  },
  doctor: {
    about: [
      "Compares the registry with the vendors and with this directory: environments that are unfinished or expired, resources that are gone, that nobody recorded, or that are somebody else's. Each finding comes with the command that mends it. So are a block in .env.local that contradicts .current-env, other directories on an environment that is gone, and a directory whose .forkstack is a copy of another's. It changes nothing, unless --fix is given: that mends what is safe, after asking.",
      "--rebuild is for a registry that was lost or has damaged rows: it forgets these rows and finds the environments again by the marks on their resources, with parents, origins and leases as far as the marks tell. Marks name their registry: with --adopt it also takes the environments of another one, which must be lost, since two registries with the same environments delete each other's.",
    ],
    examples: [["doctor", "what is not as it should be"], ["doctor --fix --yes", "mends what is safe to mend"], [
      "doctor --rebuild",
      "after the registry was lost",
    ], ["doctor --json", "for a monitor: `findings` is empty if all is well"]],
    exits: { 1: "there is an error among the findings", 3: "", 5: "", 6: "" },
    files: {
      ".forkstack/registry.db": "environments, resources and journal; elsewhere with `registry` in forkstack.json",
      credentials: "the vendors' own variables, e.g. TURSO_API_TOKEN: see the page of the provider",
    },
    seeAlso: ["list", "delete", "docs/reliability.md"],
  },
  list: {
    about: [
      "One line for each environment of the registry, by name; * marks the current one. Other directories that are on an environment stand in its line. Asks no vendor. Backups that outlived their environment are told below.",
    ],
    examples: [["list", "the environments, their parents and leases"], [
      "list --json",
      "for a program; instants are RFC 3339, UTC",
    ]],
    exits: { 5: "", 6: "the shared registry did not answer" },
    files: {
      ".forkstack/registry.db": "environments, resources and journal; elsewhere with `registry` in forkstack.json",
      ".current-env": "says which environment is current; FORKSTACK_ENV, then ENV, decide before it",
      FORKSTACK_REGISTRY_TOKEN: "the token of a registry that a team shares",
    },
    seeAlso: ["status", "prune", "doctor"],
  },
  status: {
    about: [
      "Shows an environment as it is recorded: state, parent, owner, lease, its resources by the vendors' names, and the names of its variables, never their values. Asks no vendor; `forkstack doctor` does. Where a shared registry does not answer, it shows what this machine's files say.",
    ],
    meanings: { "[env]": "an environment of `forkstack list`; the current one if it is left out" },
    examples: [["status", "the current environment"], ["status alice", "another"], [
      "status alice --json",
      "for a program",
    ]],
    exits: { 4: "", 5: "", 6: "" },
    files: {
      ".forkstack/registry.db": "environments, resources and journal; elsewhere with `registry` in forkstack.json",
      ".current-env": "says which environment is current; FORKSTACK_ENV, then ENV, decide before it",
    },
    seeAlso: ["list", "doctor"],
  },
  trust: {
    about: [
      "A repository may name code, hosts and files outside of it: a provider of its own, a `sanitize` script, an endpoint that is neither the vendor's nor this machine, a registry. Nothing of these is run, and nothing is sent there, before a person was shown them and said yes. Commands that need one ask on a terminal, and end with NOT_TRUSTED off one.",
      "The answer holds for exactly what was shown, the contents of files included, in each worktree of the repository. Where something changes it is asked again, and the difference is shown.",
    ],
    examples: [
      ["trust", "shows what is new, and asks"],
      ["trust --dry-run", "shows everything, and the hash for FORKSTACK_TRUST"],
      ["trust --yes", "does not ask: for a person's own script"],
      ["trust --revoke", "takes it all back"],
    ],
    exits: { 4: "a file that forkstack.json names is not there", 6: "" },
    files: {
      "forkstack.json": "what the repository names",
      FORKSTACK_TRUST: "the hash of what is trusted, where nobody can be asked: in CI",
      "~/.local/state/forkstack/": "what you trusted; $XDG_STATE_HOME/forkstack, on Windows %LOCALAPPDATA%\\forkstack",
    },
    seeAlso: ["permissions", "docs/trust.md"],
  },
  permissions: {
    about: [
      "The set of Deno's permissions that every command on this stack needs, as JSON for deno.json: the hosts of the providers that forkstack.json names, their programs, and no more. It asks no vendor and changes nothing.",
    ],
    examples: [["permissions", 'what goes under the key "permissions" in deno.json'], [
      "permissions --json",
      "for a program",
    ]],
    files: {
      "forkstack.json": "the providers and their options",
      "POSTGRES_URL, VALKEY_URL": "for their hosts; where one is not set, a warning says so",
    },
    seeAlso: ["doctor", "docs/permissions.md"],
  },
  init: {
    about: [
      "Writes what a project lacks, all of it or nothing: forkstack.json, the lines of .gitignore, and a task envs:… for each command, in deno.json or as scripts in package.json. On a terminal it asks, and once more before it writes. What a person wrote stays as it is; run again it adds what is lacking by then.",
      "It says which credentials the stack needs, whether they are set and where to get them, and warns of an .env that would lead to production. It shows no value.",
    ],
    examples: [
      ["init", "asks; without a terminal: the stack that needs no account"],
      ["init --stack neon-s3-vault --set database.projectId=late-frost-12345", "a stack by name, with what it needs"],
      ["init --stack postgres-s3 --set ttl=3d --yes", "one of your own choice; does not ask"],
      ["init --dry-run", "shows every line, and writes none"],
    ],
    exits: { 5: "forkstack.json is there and says otherwise, or files were changed meanwhile" },
    files: {
      "forkstack.json": "the stack; stays where there is one",
      "deno.json, package.json": "the tasks",
      ".gitignore": "what forkstack writes and git must not hold",
      ".env": "looked at for what would lead to production",
    },
    seeAlso: ["new", "doctor", "docs/init.md"],
  },
  serve: {
    about: [
      "Serves the buckets of every environment whose storage is `local` to S3 clients on this machine, at 127.0.0.1, until Ctrl-C. Each environment has a key of its own, which opens its own buckets and no others; the variables of the environment hold it.",
    ],
    examples: [
      ["serve", "at the port that the environments' variables name"],
      ["serve --port 9000", "at another; the app then needs AWS_ENDPOINT_URL_S3"],
      ["serve --port 0", "at any that is free"],
      ["serve --cors http://localhost:5173", "a page of this origin may use presigned URLs in a browser"],
    ],
    exits: { 5: "the port is in use" },
    files: {
      ".forkstack/buckets/": "the objects, a directory for each bucket",
      ".forkstack/buckets.key": "what the environments' keys are derived from",
    },
    seeAlso: ["status", "docs/storage.md"],
  },
  completions: {
    about: [
      "Prints a script that completes commands, options, environments and other arguments on Tab. It asks this program what fits each time, so that it need not be made again after an update. Nothing outside this machine is asked.",
      'bash: put eval "$(forkstack completions bash)" into ~/.bashrc.',
      'zsh: put eval "$(forkstack completions zsh)" into ~/.zshrc, after compinit; or save it as _forkstack in a directory of fpath.',
      "fish: save it as ~/.config/fish/completions/forkstack.fish.",
      "It completes the command forkstack. Where only Deno tasks are there, a function of that name, before that line, calls them in bash and zsh:",
      '  forkstack() { deno task -q "envs:$1" "${@:2}"; }',
    ],
    meanings: { "<shell>": "bash, zsh or fish" },
    examples: [["completions bash", "prints the script for bash"], ["completions fish", "prints the script for fish"]],
    files: { ".forkstack/": "where the names of the environments are looked up" },
    seeAlso: ["list", "docs/completions.md"],
  },
};
