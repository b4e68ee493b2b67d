/** Existing projects on PostgreSQL: the lines that `init` ends with, run as they stand, lead to a fork with their data. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { make, old, whyNoOld, wipe } from "../providers/_postgres.ts";
import { testIf } from "../helpers.ts";
import { IS_OTHER_PROGRAM, Place, runCommand } from "./run.ts";

/** Projects by their files; `URL` stands for the database's, without its scheme. */
const PROJECTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Prisma: {
    "package.json": '{"name": "shop", "dependencies": {"@prisma/client": "6"}}\n',
    "prisma/schema.prisma": 'datasource db {\n  provider = "postgresql"\n  url = env("DATABASE_URL")\n}\n',
    ".env": 'PORT=3000\nDATABASE_URL="postgresql:URL?schema=public"\n',
  },
  "FastAPI with SQLAlchemy": {
    "pyproject.toml": '[project]\nname = "shop"\ndependencies = ["fastapi", "sqlalchemy", "psycopg[binary]"]\n',
    ".env": "DATABASE_URL=postgresql+psycopg:URL\n",
  },
  Django: {
    "manage.py": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n",
    "shop/settings.py": "import dj_database_url\nDATABASES = {'default': dj_database_url.config()}\n",
    ".env": "DATABASE_URL='postgres:URL'\n",
  },
};

/** The environment in which a project's own tasks find Deno. */
async function shell(place: Place): Promise<Record<string, string>> {
  const bin = join(place.above, "bin");
  await mkdir(bin);
  await writeFile(join(bin, "deno"), `#!/bin/sh\nexec "${process.execPath}" "$@"\n`, { mode: 0o755 });
  const cli = join(import.meta.dirname!, "path");
  return { PATH: [bin, cli, process.env.PATH].join(":") };
}

const why = IS_OTHER_PROGRAM ? "the tasks under test are this clone's" : whyNoOld;
for (const [what, files] of Object.entries(PROJECTS)) {
  testIf(why, `an existing project of ${what} on PostgreSQL: three commands to a fork with its data`, async () => {
    const server = old!;
    await wipe(server);
    try {
      await make(server, "shop_development", "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('mine')");
      await server.query("GRANT CONNECT ON DATABASE shop_development TO PUBLIC"); // as every database begins
      await using place = await Place.make(null);
      await place.git("init", "-q");
      const url = server.url("shop_development").replace(/^\w+:/, "");
      for (const [name, text] of Object.entries(files)) await place.write(name, text.replace(":URL", `:${url}`));
      const lines: string[] = (await place.json("init")).data.next;
      assert.equal(lines.length, 2, "with init: three commands");
      const { code, stdout, stderr } = await runCommand(place.root, ["sh", "-ec", lines.join("\n")], {
        env: await shell(place),
      });
      assert.equal(code, 0, stderr);
      assert.match(stdout, /alice is ready/);
      const [row] = await server.query("SELECT text FROM notes", "shop-alice");
      assert.deepEqual({ ...row }, { text: "mine" });
      const shaped = JSON.parse((await place.read("forkstack.json"))!).variables?.SQLALCHEMY_URL;
      assert.equal(shaped, what.startsWith("FastAPI") ? "postgresql+psycopg://{DATABASE_URL|rest}" : undefined);
      const given = (await place.read(".env.local"))!;
      if (shaped !== undefined) assert.match(given, /^SQLALCHEMY_URL="?postgresql\+psycopg:\/\/[^/]+\/shop-alice\b/m);
      const written = await Promise.all(
        ["forkstack.json", "deno.json", "package.json", "Makefile"].map((name) => place.read(name)),
      );
      assert(![...lines, stdout, ...written].some((text) => text?.includes(server.password)), "no password is told");
    } finally {
      await wipe(server);
    }
  });
}
