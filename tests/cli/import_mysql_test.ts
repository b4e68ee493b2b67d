/** `import` into MySQL, on a real MariaDB: a database by its URL, and dumps. */
import assert from "node:assert/strict";
import { bytesOfText, textOfBytes } from "../../core/workspace/env_block.ts";
import { contentOf, databasesOf, make, PASSWORD, shared, urlOf, whyNone, wipe } from "../providers/_mysql.ts";
import { testIf } from "../helpers.ts";
import { whyMissing } from "../tools.ts";
import { type Ended, Place, run, runCommand } from "./run.ts";

const SHOP = `
  CREATE TABLE posts (id INT AUTO_INCREMENT PRIMARY KEY, title VARCHAR(200) NOT NULL, raw VARBINARY(20)) CHARACTER SET utf8mb4;
  CREATE TABLE comments (post INT, body TEXT, FOREIGN KEY (post) REFERENCES posts (id));
  INSERT INTO posts (title, raw) VALUES ('a;\\nb', X'00FF5C27'), ('DEFINER=\`x\`@\`y\` it''s', NULL), ('Grüße 😀', X'E28098');
  INSERT INTO comments VALUES (1, REPEAT('x', 60000));
  CREATE VIEW titles AS SELECT title FROM posts;
  CREATE TRIGGER upper_title BEFORE INSERT ON posts FOR EACH ROW SET NEW.title = UPPER(NEW.title);
  CREATE FUNCTION twice(i INT) RETURNS INT DETERMINISTIC RETURN i * 2;`;

interface Bench {
  readonly place: Place;
  readonly on: (...args: string[]) => Promise<Ended>;
  readonly dump: (...args: string[]) => Promise<string>;
  readonly contents: (database: string) => Promise<string>;
}

function onShop(name: string, work: (bench: Bench) => Promise<void>): void {
  testIf(whyNone ?? whyMissing("mariadb-dump", "mariadb"), `import into MySQL: ${name}`, async () => {
    const server = shared!;
    await wipe(server);
    try {
      await server.as((root) => make(root, "existing", SHOP));
      await using place = await Place.make({ parent: "dev", database: { provider: "mysql" } });
      const env = { MYSQL_URL: urlOf(server.port), OLD: `${urlOf(server.port)}/existing`, PATH: Deno.env.get("PATH")! };
      const dump = async (...args: string[]) => {
        const at = ["--protocol=tcp", "--host=127.0.0.1", `--port=${server.port}`, "--user=forks"];
        const command = ["mariadb-dump", "--no-defaults", ...at, "--hex-blob", ...args];
        const { code, stdout, stderr } = await runCommand(place.root, command, {
          env: { ...env, MYSQL_PWD: PASSWORD },
        });
        assert.equal(code, 0, stderr);
        return stdout;
      };
      const contents = async (database: string) =>
        (await contentOf(server, database))
          .replaceAll(`\`${database}\``, "`database`").replaceAll(database, "database");
      await work({ place, dump, contents, on: async (...args) => await run(place.root, args, { env }) });
    } finally {
      await wipe(server);
    }
  });
}

onShop("a database by its URL becomes dev, which was not there, and new forks it", async ({ place, on, contents }) => {
  const wanted = await contents("existing");
  const { code, stdout, stderr } = await on("import", "dev", "OLD");
  assert.equal(code, 0, stderr);
  assert.equal(await contents("shop-dev"), wanted);
  assert(![stdout, stderr, await place.digest()].some((text) => text.includes(PASSWORD)));
  assert.deepEqual((await databasesOf(shared!)).filter((name) => name.startsWith("forkstack")), []);
  const made = await on("new", "alice");
  assert.equal(made.code, 0, made.stderr);
  assert.equal(await contents("shop-alice"), wanted);
});

onShop(
  "dumps, of other accounts' views and routines too, replace what dev holds",
  async ({ place, on, dump, contents }) => {
    const wanted = await contents("existing");
    await shared!.as((root) =>
      make(
        root,
        "shop-dev",
        "CREATE TABLE mine (a INT); CREATE TABLE posts (b INT); CREATE VIEW titles AS SELECT a FROM mine",
      )
    );
    for (
      const [name, ...args] of [["whole.sql", "--routines"], [
        "rows.sql",
        "--routines",
        "--complete-insert",
        "--skip-extended-insert",
      ], ["locks.sql", "--routines", "--add-drop-trigger"]]
    ) {
      await place.write(name!, await dump(...args, "existing"));
      const { code, stderr } = await on("import", "dev", name!, "--replace", "--yes");
      assert.equal(code, 0, `${name}: ${stderr}`);
      assert.equal(await contents("shop-dev"), wanted, name);
    }
  },
);

onShop(
  "what dev holds is kept without --replace, and stays as it was after any failure",
  async ({ place, on, dump, contents }) => {
    await shared!.as(async (root) => {
      await make(root, "shop-dev", SHOP);
      await make(root, "bystander", "CREATE TABLE posts (a INT)");
      await root.query("INSERT INTO `shop-dev`.comments VALUES (2, 'mine')");
    });
    const [before, other] = [await contents("shop-dev"), await contents("bystander")];
    const kept = await on("import", "dev", "OLD", "--json");
    assert.equal(JSON.parse(kept.stdout).error.code, "CONFLICT");
    const whole = await dump("existing");
    const cases = {
      "wrong.sql": `${whole}\nINSERT INTO nowhere VALUES ('canary-0123456789');\n`,
      "use.sql": `USE bystander; DROP TABLE posts;\n${whole}`,
      "named.sql": `DROP TABLE \`bystander\`.\`posts\`;\n${whole}`,
      "databases.sql": await dump("--databases", "bystander"),
      "system.sql": `\\! touch ${place.path("touched")}\n${whole}`,
      "word.sql": `system touch ${place.path("touched")}\n${whole}`,
    };
    for (const [name, text] of Object.entries(cases)) {
      await place.write(name, text);
      const { code, stdout } = await on("import", "dev", name, "--replace", "--yes", "--json");
      const { error } = JSON.parse(stdout);
      assert(code !== 0 && error.code === "IMPORT_REFUSED", `${name}: ${stdout}`);
      assert(!stdout.includes("canary"), stdout);
      assert.deepEqual([await contents("shop-dev"), await contents("bystander")], [before, other], name);
    }
    for (
      const [source, code] of [
        [`${urlOf(shared!.port)}/absent`, "DUMP_FAILED"],
        [`${urlOf(shared!.port)}`, "IMPORT_REFUSED"],
        [`${urlOf(shared!.port)}/shop-dev`, "IMPORT_REFUSED"],
        ["mysql://forks:wrong@127.0.0.1:1/existing", "DUMP_FAILED"],
      ] as const
    ) {
      const { stdout, stderr } = await on("import", "dev", source, "--replace", "--yes", "--json");
      assert.equal(JSON.parse(stdout).error?.code, code, stdout);
      assert(!`${stdout}${stderr}`.includes(PASSWORD), source);
      assert.equal(await contents("shop-dev"), before, source);
    }
    assert.equal(await place.read("touched"), undefined);
    assert.deepEqual((await databasesOf(shared!)).filter((name) => name.startsWith("forkstack")), []);
  },
);

onShop("a dump with raw bytes of binary columns, or in an encoding that it names, gives the same", async (bench) => {
  const { place, on, dump, contents } = bench;
  const wanted = await contents("existing");
  for (const how of ["--skip-hex-blob", "--default-character-set=utf8mb4"]) {
    const file = place.path("raw.sql");
    await dump("--routines", how, `--result-file=${file}`, "existing");
    const { code, stderr } = await on("import", "dev", file, "--replace", "--yes");
    assert.equal(code, 0, `${how}: ${stderr}`);
    assert.equal(await contents("shop-dev"), wanted, how);
  }
  await place.write(
    "latin.sql",
    bytesOfText(
      "SET NAMES latin1;\nCREATE TABLE t (a TEXT) CHARACTER SET utf8mb4;\nINSERT INTO t VALUES ('caf\xE9');\n",
    ),
  );
  const { code, stderr } = await on("import", "dev", "latin.sql", "--replace", "--yes");
  assert.equal(code, 0, stderr);
  await shared!.as(async (root) => {
    const [rows] = await root.query("SELECT HEX(a) AS a FROM `shop-dev`.t");
    assert.deepEqual(rows, [{ a: "636166C3A9" }]);
  });
});

onShop("text that is not in the dump's encoding is refused with its line, and dev stays as it was", async (bench) => {
  const { place, on, dump, contents } = bench;
  await shared!.as((root) => make(root, "shop-dev", SHOP));
  const before = await contents("shop-dev");
  const text = textOfBytes(new TextEncoder().encode(await dump("existing")));
  const lines = text.split("\n").length;
  for (
    const more of [
      "INSERT INTO `comments` VALUES (1,'caf\xE9');\n",
      "-- \x83\x65\n",
      "SELECT _binary '\xFF', '\xFF';\n",
    ]
  ) {
    await place.write("dump.sql", bytesOfText(text + more));
    const { stdout } = await on("import", "dev", "dump.sql", "--replace", "--yes", "--json");
    const { error } = JSON.parse(stdout);
    assert.equal(error?.code, "IMPORT_REFUSED", stdout);
    assert.match(error.message, new RegExp(`line ${lines} is not in UTF-8`));
    assert.equal(await contents("shop-dev"), before);
  }
  assert.deepEqual((await databasesOf(shared!)).filter((name) => name.startsWith("forkstack")), []);
});
