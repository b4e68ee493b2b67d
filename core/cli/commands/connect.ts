import { ForkstackError, isForkstackError, KINDS, parseEnvName, variablePrefix } from "../../../mod.ts";
import { CLIENT_VARIABLES, clientOf, type ClientProgram } from "../client_program.ts";
import { type CommandResult, type Invocation, usage } from "../command_line.ts";
import { openProject } from "../../project/open_project.ts";
import { keyOf } from "../../project/project.ts";
import { cwd } from "../../system/host.ts";
import type { CommandFile } from "../command_file.ts";
import { runProgram } from "./run.ts";
import { resourceWithUrl } from "./url.ts";

/** `connect [resource] [env]` */
export const command: CommandFile = {
  order: 21,
  group: "data",
  summary: "open a client of a database, cache or queue",
  arguments: { labels: ["[resource]", "[env]"], min: 0, max: 2 },
  meanings: {
    "[resource]": "what to open: a kind, or a name such as cache.sessions. Default: database",
    "[env]": "an environment. Default: the current one",
  },
  example: "connect database alice",
  without: ["yes", "json"],
  options: {},
  about: [
    "Opens psql, sqlite3, mysql or redis-cli, whichever speaks the protocol of the URL. It gets what the URL says, " +
    "and none of the environment's other variables. The password goes to it by its environment, never by an " +
    "argument. What comes by a pipe is run: `forkstack connect database dev < dump.sql`.",
    "The exit code is that of the client. There is no --json: the output belongs to it.",
  ],
  examples: [
    ["connect", "opens the database of the current environment"],
    ["connect cache.sessions alice", "opens one cache of alice"],
  ],
  exits: { 4: "", 5: "", 6: "", 127: "" },
  files: {
    ".forkstack/envs/<env>.env": "the variables of the environment; only you can read them (mode 0600)",
  },
  seeAlso: ["url", "run", "docs/variables.md"],
  task: { set: "run" },
  run: runConnect,
};

async function runConnect({ name, more, flags, io }: Invocation): Promise<CommandResult> {
  if (flags.json) throw usage("Cannot connect with --json: the output belongs to the client", "Leave --json out");
  const project = await openProject(cwd(), { init: false, catalog: io.catalog });
  const one = await resourceWithUrl(project, "connect", name, more);
  const env = more === undefined ? undefined : parseEnvName(more);
  const key = keyOf(one.kind, one.name);
  const variable = `${variablePrefix(one.name)}${KINDS[one.kind].variables.url}`;
  let client: ClientProgram | undefined;
  for (let at = 0;; at++) {
    try {
      const exitCode = await runProgram({ name: env, flags, io, program: [] }, async (variables) => {
        const url = variables[variable];
        client = url === undefined ? undefined : await clientOf(url);
        if (client === undefined) throw noClient(key, url);
        return { program: [client.names[at]!, ...client.args], env: client.env, withheld: CLIENT_VARIABLES };
      });
      return { data: {}, text: () => "", exitCode };
    } catch (error) {
      if (client === undefined || !isForkstackError(error) || error.code !== "COMMAND_NOT_FOUND") throw error;
      if (at + 1 < client.names.length) continue;
      throw new ForkstackError("TOOL_MISSING", `Cannot connect to ${key}: there is no ${client.names.join(" or ")}`, {
        hint: `Install it: ${client.install}`,
        details: { resource: key },
        cause: error,
      });
    }
  }
}

function noClient(key: string, url: string | undefined): ForkstackError {
  if (url === undefined) {
    return new ForkstackError("VALUE_MISSING", `Cannot connect to ${key}: nothing on this machine gives a URL`, {
      hint: "`forkstack status` lists the variables",
    });
  }
  const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(url)?.[0] ?? "";
  return usage(
    `Cannot connect to ${key}: no client is known for URLs that begin with "${scheme}"`,
    "Run the vendor's own with the variables: `forkstack run -- <program>`",
  );
}
