import { type CommandResult, type Invocation, usage } from "../command_line.ts";
import { forgetDamaged } from "../../lifecycle/damage.ts";
import { examine } from "../../lifecycle/doctor.ts";
import type { Recovered } from "../../lifecycle/rebuild.ts";
import { load } from "../../system/lazy.ts";
import * as output from "../output.ts";
import { withEngine } from "../session.ts";
import type { CommandFile } from "../command_file.ts";

/** `doctor` */
export const command: CommandFile = {
  order: 9,
  group: "project",
  summary: "find problems and show how to fix them",
  example: "doctor",
  options: {
    deep: { type: "boolean", help: "read all data of SQLite databases, too" },
    fix: { type: "boolean", help: "make the safe fixes" },
    rebuild: { type: "boolean", help: "restore a lost registry from the marks on the resources" },
    adopt: "shared",
    "dry-run": "shared",
  },
  about: [
    "Compares the registry with the vendors and with this directory. It finds environments that are " +
    "unfinished or expired, resources that are missing, unrecorded or owned by something else, a block in " +
    ".env.local that contradicts .current-env, other directories that use a deleted environment, and a " +
    ".forkstack that was copied from another directory. Each problem comes with the command that fixes it. " +
    "Only --fix changes something: it makes the safe fixes (asks first).",
    "--deep also reads all data of SQLite databases, those of dev and prod included, by SQLite's own " +
    "integrity check. It may take minutes. `new` looks at the header, the roots of tables and the free list alone.",
    "--rebuild is for a lost or damaged registry. It drops damaged rows and finds the environments again by " +
    "the marks on their resources, with parents and leases if the marks have them. Add --adopt to take over " +
    "the environments of another registry. That registry must be lost: two registries with the same " +
    "environments delete each other's.",
  ],
  examples: [
    ["doctor", "lists the problems"],
    ["doctor --deep", "reads all data of SQLite databases, too"],
    ["doctor --rebuild", "restores a lost registry"],
    ["doctor --json", "for a monitor: `findings` is empty if there are no problems"],
  ],
  exits: {
    1: "there is at least one error",
    3: "",
    5: "",
    6: "",
  },
  files: {
    ".forkstack/registry.db": "",
    credentials: "",
  },
  seeAlso: ["list", "delete", "docs/reliability.md"],
  run: runDoctor,
};

async function runDoctor({ flags, io }: Invocation): Promise<CommandResult> {
  if (flags.adopt && !flags.rebuild) {
    throw usage("Cannot adopt: --adopt goes with --rebuild", "Run `forkstack doctor --rebuild --adopt`");
  }
  const isDry = flags["dry-run"] === true;
  const mode = modeOf(flags);
  return await withEngine(io, mode, async (engine) => {
    if (mode === "restore") await forgetDamaged(engine);
    const rebuilt = mode === "restore"
      ? await (await load<typeof import("../../lifecycle/rebuild.ts")>("core/lifecycle/rebuild.ts")).rebuild(engine, {
        adopt: flags.adopt === true,
      })
      : [];
    let findings = await examine(engine, flags.deep === true);
    const mendable = findings.filter(({ mend }) => mend !== undefined);
    if (flags.fix && !isDry && mendable.length > 0) {
      const told = mendable.map((one) => [output.findingTitle(one), one.effect].filter(Boolean).join(", and then "));
      await io.confirm(`Fix ${told.join("; ")}?`);
      for (const { mend } of mendable) await mend!();
      findings = await examine(engine, flags.deep === true);
    }
    const told = { findings: findings.map(({ mend: _, effect: __, ...finding }) => finding) };
    const data = flags.rebuild ? { ...told, ...rebuiltData(rebuilt) } : told;
    const hasFound = findings.some(({ severity }) => severity === "error");
    return { data, hasFound, text: (style) => output.doctorText(findings, rebuilt, style) };
  }, { reach: isDry ? "vendors" : "all" });
}

/** Options for opening the project: only `--rebuild` begins a registry, and a dry run changes nothing. */
function modeOf(flags: Invocation["flags"]): "restore" | "work" | "look" {
  if (flags["dry-run"]) return "look";
  if (flags.rebuild) return "restore";
  return flags.fix ? "work" : "look";
}

function rebuiltData(rebuilt: readonly Recovered[]) {
  return {
    environments: rebuilt.map(({ environment: { name, parent, origin, expiresAt }, unknown }) => ({
      name,
      parent,
      origin,
      expiresAt,
      unknown: unknown.length === 0 ? undefined : unknown,
    })),
    resources: rebuilt.flatMap(({ resources }) => resources),
  };
}
