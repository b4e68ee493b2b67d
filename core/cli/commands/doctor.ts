import { type CommandResult, type Invocation, usage } from "../command_line.ts";
import { forgetDamaged } from "../../lifecycle/damage.ts";
import { examine } from "../../lifecycle/doctor.ts";
import { load } from "../../system/lazy.ts";
import * as output from "../output.ts";
import { withEngine } from "../session.ts";
import type { CommandFile } from "../command_file.ts";

/** `doctor` */
export const command: CommandFile = {
  order: 9,
  summary: "show what is unfinished, orphaned, drifted, expired or foreign, and how to mend it",
  example: "doctor",
  options: {
    fix: { type: "boolean", help: "mend what is safe to mend" },
    rebuild: { type: "boolean", help: "find the environments again by their marks, where the registry was lost" },
    adopt: "shared",
    "dry-run": "shared",
  },
  about: [
    "Compares the registry with the vendors and with this directory: environments that are unfinished or expired, " +
    "resources that are gone, that nobody recorded, or that are somebody else's. Each finding comes with the " +
    "command that mends it. So are a block in .env.local that contradicts .current-env, other directories on an " +
    "environment that is gone, and a directory whose .forkstack is a copy of another's. It changes nothing, unless " +
    "--fix is given: that mends what is safe, after asking.",
    "--rebuild is for a registry that was lost or has damaged rows: it forgets these rows and finds the " +
    "environments again by the marks on their resources, with parents, origins and leases as far as the marks " +
    "tell. Marks name their registry: with --adopt it also takes the environments of another one, which must be " +
    "lost, since two registries with the same environments delete each other's.",
  ],
  examples: [
    ["doctor", "what is not as it should be"],
    ["doctor --fix --yes", "mends what is safe to mend"],
    ["doctor --rebuild", "after the registry was lost"],
    ["doctor --json", "for a monitor: `findings` is empty if all is well"],
  ],
  exits: { 1: "there is an error among the findings", 3: "", 5: "", 6: "" },
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
  const mode = !isDry && flags.rebuild ? "restore" : !isDry && flags.fix ? "work" : "look";
  return await withEngine(io, mode, async (engine) => {
    if (mode === "restore") await forgetDamaged(engine);
    const rebuilt = mode === "restore"
      ? await (await load<typeof import("../../lifecycle/rebuild.ts")>("core/lifecycle/rebuild.ts")).rebuild(engine, {
        adopt: flags.adopt === true,
      })
      : [];
    let findings = await examine(engine);
    const mendable = findings.filter(({ mend }) => mend !== undefined);
    if (flags.fix && !flags["dry-run"] && mendable.length > 0) {
      const told = mendable.map((one) => [output.findingTitle(one), one.effect].filter(Boolean).join(", and then "));
      await io.confirm(`Mend ${told.join("; ")}?`);
      for (const { mend } of mendable) await mend!();
      findings = await examine(engine);
    }
    const data = {
      findings: findings.map(({ mend: _, effect: __, ...finding }) => finding),
      ...(flags.rebuild
        ? {
          environments: rebuilt.map(({ environment: { name, parent, origin, expiresAt }, unknown }) => ({
            name,
            parent,
            ...(origin === undefined ? {} : { origin }),
            ...(expiresAt === undefined ? {} : { expiresAt }),
            ...(unknown.length === 0 ? {} : { unknown }),
          })),
          resources: rebuilt.flatMap(({ resources }) => resources),
        }
        : {}),
    };
    const hasFound = findings.some(({ severity }) => severity === "error");
    return { data, hasFound, text: (style) => output.doctorText(findings, rebuilt, style) };
  }, { reach: flags["dry-run"] ? "vendors" : "all" });
}
