/** The list of modules that are loaded by name, as literal imports, since a compiler sees only these. */
import { readSources } from "./sources.ts";
import type { Generated } from "./text.ts";

/** Generates tools/build/binary.ts. `listed` are the modules with composed names: commands and providers. */
export async function binaryFile(root: string, listed: readonly string[]): Promise<Generated> {
  const sources = [...(await readSources(root)).values()];
  const modules = new Set([...listed, ...sources.flatMap(({ modules }) => modules)]);
  const packages = new Set(sources.flatMap(({ packages }) => packages));
  const lines = [
    ...[...modules].sort().map((path) => `  "${path}": () => import("../../${path}"),`),
    ...[...packages].sort().map((name) => `  "${name}": () => import("${name}"),`),
  ];
  return {
    path: "tools/build/binary.ts",
    text: `/**
 * The start of a compiled binary: cli.ts, and as literal imports, which are all that a compiler sees, the modules that
 * are otherwise loaded when they are needed (core/system/lazy.ts). Written by \`deno task gen\`.
 */
import { carry } from "../../core/system/lazy.ts";

carry({
${lines.join("\n")}
});

await import("../../cli.ts");
`,
  };
}
