import { parseEnvName } from "../../../mod.ts";
import { type CommandResult, type Invocation, usage } from "../command_line.ts";
import { findSource, importData, planImport } from "../../lifecycle/import.ts";
import * as output from "../output.ts";
import { withEngine } from "../session.ts";
import { cwd, variable } from "../../system/host.ts";
import { duration } from "../../text/duration.ts";
import { localCommands, paint } from "../style.ts";
import type { CommandFile } from "../command_file.ts";

/** `import dev <source> [resource]` */
export const command: CommandFile = {
  order: 18,
  group: "data",
  summary: "copy an existing database or directory to dev",
  row: { with: ["seed"], summary: "fill dev: copy data, or run your seed command" },
  arguments: { labels: ["<env>", "<source>", "[resource]"], min: 2, max: 3 },
  meanings: {
    "<env>": "dev; no other environment takes data from outside",
    "<source>": "a file, a directory, the URL of a running database, or the name of a variable that holds one",
    "[resource]": "where it goes, e.g. storage.uploads. Default: the only resource that takes such data",
  },
  example: "import dev ./prisma/dev.db",
  options: {
    replace: { type: "boolean", help: "replace the data that dev has (asks first)" },
    "dry-run": "shared",
  },
  about: [
    "Copies data into dev, so that new environments can fork it: a SQLite file, also one in use, or its .sql dump; a " +
    "PostgreSQL or MySQL database by its URL, or a dump of it; a directory for local files or buckets. The original " +
    "does not change. If anything fails, dev is as it was.",
    "What dev holds already is kept: with --replace the new data takes its place. prod never changes.",
    "Other programs can read a password in an argument. Put such a URL into a variable, and pass the variable's name.",
  ],
  examples: [
    ["import dev ./prisma/dev.db", "copies a SQLite file"],
    ["import dev OLD_DATABASE_URL", "copies the database whose URL is in that variable"],
    ["import dev shop.dump database --replace", "puts a dump in the place of what dev has"],
    ["import dev ./public/uploads storage.uploads", "fills a bucket on this machine"],
  ],
  exits: { 3: "", 4: "there is no such file, directory or database", 5: "", 6: "" },
  files: {
    "forkstack.json": "`bases` sets the names of resources of dev",
    credentials: "",
  },
  seeAlso: ["new", "reset", "seed", "docs/import.md"],
  run: runImport,
};

async function runImport({ name, more, rest, flags, io }: Invocation): Promise<CommandResult> {
  const env = parseEnvName(name!);
  const isDry = flags["dry-run"] === true;
  const given = variableNamed(more!);
  if (/^\s*(?:file:(?:\/\/)?\s*)?$/i.test(given ?? more!)) { // it would lead to the present directory
    throw usage(`Cannot import ${JSON.stringify(more)}: it is empty`, "Name a file, a directory or a URL");
  }
  if (given === undefined && /^[a-z][\w+.-]*:\/\/[^/?#]*:[^/?#@]*@/i.test(more!)) {
    io.say(
      "warning: other programs can read a password in an argument; pass the name of a variable that holds the URL",
    );
  }
  return await withEngine(io, isDry ? "look" : "work", async (engine) => {
    const source = await findSource(engine, given ?? more!, cwd());
    const plan = await planImport(engine, env, source, rest[0]);
    const { resource, title } = plan;
    const what = `${resource.key} "${title}" of ${env}`;
    const data = {
      environment: { name: env },
      resources: [{ ...output.resourceIdentity(resource), provider: resource.provider.name, title }],
      source: source.name,
      replace: flags.replace === true ? true : undefined,
    };
    if (isDry) return { data: { ...data, dryRun: true }, text: () => `Would copy ${source.name} to ${what}` };
    if (flags.replace) await io.confirm(`Replace all data of ${what} with a copy of ${source.name}?`);
    const { durationMs } = await importData(engine, plan, flags.replace === true);
    return {
      data: { ...data, durationMs },
      text: (style) =>
        `Copied ${source.name} to ${what} in ${duration(durationMs)}\n${
          paint(style, "dim", localCommands("Next: `forkstack new alice --from dev` forks it", style))
        }`,
    };
  }, { reach: isDry ? "registry" : "all" });
}

/** Returns the value of a variable that an argument names, if no file could be meant. */
function variableNamed(text: string): string | undefined {
  if (!/^[A-Z][A-Z0-9_]*$/.test(text)) return undefined;
  return variable(text);
}
