/** A project set up from nothing in each way of the README's section "Install", by the lines that stand there. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { origin } from "../emulators/origin.ts";
import { bun, deno, node, pathWithBun, run, type Runtime, runtimeTest, temporaryProject } from "../runtime_helpers.ts";
import { sized } from "../sizes.ts";

const REPO = fileURLToPath(new URL("../../", import.meta.url));
const SECTION = /^## Install\n[^]*?(?=^## )/m.exec(readFileSync(join(REPO, "README.md"), "utf8"))![0];

const BUN = bun();

/** The lines of each way, by a line that no other has. */
const WAYS: Readonly<Record<string, { readonly has: RegExp; readonly needs: Runtime }>> = {
  "by URL": { has: /^ {4}deno run .*<forkstack>/m, needs: deno() },
  "as a package of npm": { has: /^ {4}npm install /m, needs: node(22) },
  "as a package of Bun": { has: /^ {4}bun add /m, needs: BUN },
  "as one file": { has: /^ {4}forkstack new /m, needs: BUN },
};

/** Where Deno, npm and Bun keep what they fetched, whatever the home. */
const CACHES = {
  DENO_DIR: JSON.parse(run([process.execPath, "info", "--json"]).stdout).denoDir,
  npm_config_cache: run(["npm", "config", "get", "cache"]).stdout.trim(),
  BUN_INSTALL_CACHE_DIR: join(process.env.HOME!, ".bun", "install", "cache"),
};

const BLOCKS = Array.from(SECTION.matchAll(/(?:^ {4}.+\n)+/gm), ([lines]) => lines);

Deno.test("the README's ways to install are those that are tested", () => {
  assert.equal(BLOCKS.length, Object.keys(WAYS).length);
  for (const [way, { has }] of Object.entries(WAYS)) assert.equal(BLOCKS.filter((one) => has.test(one)).length, 1, way);
});

/** In the gate the packages and the binary have tests of their own: tests/packages. */
const TRIED = sized({ gate: ["by URL"], full: Object.keys(WAYS) });

for (const way of TRIED) {
  const { has, needs } = WAYS[way]!;
  runtimeTest(`README: a project is set up ${way}`, needs, async ([program]) => {
    using above = temporaryProject();
    symlinkSync(REPO, join(above.path, "forkstack")); // the clone beside the project
    const project = join(above.path, "myapp");
    mkdirSync(project);
    writeFileSync(join(project, "package.json"), '{ "name": "myapp", "private": true }\n'); // it is a project already
    await using web = await origin();
    const lines = BLOCKS.find((one) => has.test(one))!
      .replace("deno run", "deno run --allow-import=127.0.0.1") // which https of a usual host does not need
      .replace("<forkstack>", web.url);
    const home = join(above.path, "home");
    using path = needs === BUN ? pathWithBun(program) : undefined;
    const { code, stdout, stderr } = await new Deno.Command("sh", {
      args: ["-euc", lines],
      cwd: project,
      // A home of its own: what is installed for the user is found there; packages that were fetched once are not again.
      env: {
        ...CACHES,
        ...(way === "by URL" ? { DENO_DIR: join(home, "deno") } : {}),
        HOME: home,
        PATH: [
          ...[join(home, ".local", "bin"), dirname(process.execPath)],
          path?.value ?? `${dirname(program)}${delimiter}${process.env.PATH}`,
        ].join(delimiter),
        NO_COLOR: "1",
      },
    }).output();
    const said = new TextDecoder().decode(stdout);
    assert.equal(code, 0, said + new TextDecoder().decode(stderr));
    assert.match(said, /^alice is ready: 4 resources, forked from dev/m);
    assert.match(readFileSync(join(project, ".env.local"), "utf8"), /^FORKSTACK_ENV=alice$/m);
    assert.equal(web.asked.length > 0, way === "by URL");
  });
}
