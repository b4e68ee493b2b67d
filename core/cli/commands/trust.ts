/** `trust`: what the repository names, shown, and let in. */
import type { CommandResult, Invocation } from "../command_line.ts";
import { openProject } from "../../project/open_project.ts";
import { cwd } from "../../system/host.ts";
import { itemsText, itemTitle } from "../../project/trust_text.ts";
import {
  askTrust,
  contentsOf,
  isSamePlace,
  keep,
  lookAtTrust,
  notTrusted,
  revoke,
  untrusted,
} from "../../project/trust_store.ts";
import type { Item } from "../../project/trusted.ts";
import type { CommandFile } from "../command_file.ts";

/** `trust` */
export const command: CommandFile = {
  order: 12,
  group: "team",
  summary: "allow the code and hosts this repository names",
  example: "trust",
  options: {
    revoke: { type: "boolean", help: "trust nothing of this project any more" },
    "dry-run": "shared",
  },
  about: [
    "A repository can name code, hosts and files outside of it: a custom provider, a `sanitize` script, an " +
    "endpoint that is neither the vendor's nor on this machine, a shared registry. forkstack runs none of " +
    "them and sends nothing there until you have seen them and agreed. A command that needs one asks on a " +
    "terminal; without a terminal it fails with NOT_TRUSTED.",
    "Your answer holds for exactly what was shown, including the contents of files, in every worktree of the " +
    "repository. If something changes, forkstack shows the difference and asks again.",
  ],
  examples: [
    ["trust", "shows what is new and asks"],
    ["trust --dry-run", "shows everything, and the hash for FORKSTACK_TRUST"],
    ["trust --yes", "for your own scripts: does not ask"],
    ["trust --revoke", "trusts nothing of this project any more"],
  ],
  exits: {
    4: "a file that forkstack.json names does not exist",
    6: "",
  },
  files: {
    "forkstack.json": "what the repository names",
    FORKSTACK_TRUST: "the hash of what is trusted, for CI, where nobody can be asked",
    "~/.local/state/forkstack/":
      "what you trusted; $XDG_STATE_HOME/forkstack if it is set, %LOCALAPPDATA%\\forkstack on Windows",
  },
  seeAlso: ["permissions", "docs/security.md"],
  run: runTrust,
};

async function runTrust({ flags, io }: Invocation): Promise<CommandResult> {
  const project = await openProject(cwd(), { init: false, catalog: io.catalog });
  if (flags.revoke) {
    const count = flags["dry-run"]
      ? (await lookAtTrust(project, io.catalog, { reach: "registry", mayFetch: false })).store.trusted.length
      : await revoke(project);
    const text = count === 0 ? "Nothing of this project was trusted" : "Nothing of this project is trusted any more";
    return {
      data: { project: project.name, revoked: count, dryRun: flags["dry-run"] ? true : undefined },
      text: () => flags["dry-run"] ? `Would take back ${count}` : text,
    };
  }
  const whole = await lookAtTrust(project, io.catalog);
  const { items, hash, store } = whole;
  const news = untrusted(whole);
  const stateOf = (item: Item) => {
    if (!news.includes(item)) return "trusted";
    return store.trusted.some((one) => isSamePlace(one, item)) ? "changed" : "new";
  };
  const data = {
    project: project.name,
    repository: store.repository,
    hash: items.length === 0 ? undefined : hash,
    items: items.map((item) => ({ ...item, state: stateOf(item) })),
    dryRun: flags["dry-run"] ? true : undefined,
  };
  if (items.length === 0) return { data, text: () => `Nothing to trust: ${project.name} names no code and no host` };
  if (flags["dry-run"]) {
    const contents = await Promise.all(
      items.map((item) => contentsOf({ ...whole, store: { ...store, trusted: [] } }, item)),
    );
    const title = `${project.name} names:`;
    return {
      data,
      text: () => [itemsText(items, title), ...contents.filter(Boolean), `FORKSTACK_TRUST=${hash}`].join("\n"),
    };
  }
  if (news.length === 0) return { data, text: () => `Trusted already: ${items.map(itemTitle).join("; ")}` };
  if (!flags.yes) {
    if (!io.mayAsk()) throw notTrusted(whole);
    await askTrust(whole, io);
  } else if (!flags.json) io.say(itemsText(news, "Trusted from now on:"));
  await keep(project, whole);
  return { data, text: () => `Trusted: ${items.map(itemTitle).join("; ")}` };
}
