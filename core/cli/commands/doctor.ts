import { type Answer, type Call, usage } from "../command_line.ts";
import { forgetDamaged } from "../../lifecycle/damage.ts";
import { examine } from "../../lifecycle/doctor.ts";
import { load } from "../../system/lazy.ts";
import * as output from "../output.ts";
import { withEngine } from "../session.ts";

/** `doctor` */
export async function runDoctor({ flags, io }: Call): Promise<Answer> {
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
