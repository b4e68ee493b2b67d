/**
 * Runs examples/python, examples/django and examples/go as their pages say, in copies that stand alone, as
 * `init --template` makes them: two environments at once, neither of which sees what the other or `dev` writes.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { freePort } from "../emulators/ports.ts";
import { debianBinaries, startServer } from "../emulators/postgres_server.ts";
import { testIf } from "../helpers.ts";
import { pythonPackages, pythonVariables, Shop, whyWithout } from "../languages/shop.ts";
import { REPO } from "../../tools/build/_tools.ts";
import { SIZE } from "../sizes.ts";
import { whyMissing } from "../tools.ts";

type Command = readonly [program: string, ...args: string[]];

/** Commands of an example's page. */
interface Commands {
  /** Brings the tables of the current environment up to date, and takes them away; without them the server makes its own. */
  readonly tables?: { readonly make: Command; readonly drop: Command };
  readonly serve: (port: number) => Command;
}

interface Note {
  readonly id: number;
  readonly text: string;
}

/** A client of one running server. */
class Client {
  readonly url: string;

  constructor(port: number) {
    this.url = `http://127.0.0.1:${port}`;
  }

  async get<T>(path: string): Promise<T> {
    const response = await fetch(this.url + path);
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return JSON.parse(text);
  }

  async add(text: string): Promise<void> {
    const { status, note } = await this.post(JSON.stringify({ text }));
    assert.deepEqual([status, (note as Note).text], [201, text]);
  }

  async post(body: string): Promise<{ status: number; note: unknown }> {
    const response = await fetch(`${this.url}/notes`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    const text = await response.text();
    return { status: response.status, note: response.ok ? JSON.parse(text) : text };
  }

  async texts(): Promise<string[]> {
    return (await this.get<Note[]>("/notes")).map(({ text }) => text);
  }
}

/** Serves an example while work is done; `within` is a command in front of the server's. */
async function whileServed(
  shop: Shop,
  { serve }: Commands,
  work: (client: Client) => Promise<void>,
  ...within: readonly string[]
): Promise<void> {
  const port = freePort();
  const client = new Client(port);
  const [program, ...args] = [...within, ...serve(port)];
  await using _server = await shop.serve(() => client.get("/"), program!, ...args);
  await work(client);
}

/** Two forks of a `dev` with one note, used at once. */
async function showsIsolation(shop: Shop, commands: Commands): Promise<void> {
  shop.run("forkstack", "switch", "dev");
  if (commands.tables !== undefined) shop.run(...commands.tables.make);
  await whileServed(shop, commands, async (dev) => {
    assert.deepEqual(await dev.texts(), []);
    await dev.add("of dev");
    for (const wrong of ["", "[]", "{}", '{"text": ""}', '{"text": 7e', '{"text": null}']) {
      const { status } = await dev.post(wrong);
      assert(status >= 400 && status < 500, `${wrong}: ${status}`);
    }
    assert.deepEqual(await dev.get("/"), { environment: "dev", notes: 1 });
  });

  shop.run("forkstack", "new", "alice");
  shop.run("forkstack", "new", "bob"); // and so the current one
  await whileServed(shop, commands, async (alice) => {
    await whileServed(shop, commands, async (bob) => {
      assert.deepEqual([await alice.texts(), await bob.texts()], [["of dev"], ["of dev"]]);
      await Promise.all([alice.add("Alice's “é”"), bob.add("Bob's"), alice.add("' OR 1=1 --")]);
      assert.deepEqual((await alice.texts()).sort(), ["' OR 1=1 --", "Alice's “é”", "of dev"]);
      assert.deepEqual(await bob.texts(), ["of dev", "Bob's"]);
      assert.deepEqual(await alice.get("/"), { environment: "alice", notes: 3 });
      assert.deepEqual(await bob.get("/"), { environment: "bob", notes: 2 });
    });
  }, ...["forkstack", "run", "alice", "--"]);

  if (commands.tables !== undefined) shop.run(...commands.tables.drop); // bob's
  shop.run("forkstack", "switch", "dev");
  for (const env of ["alice", "bob"]) shop.run("forkstack", "delete", env, "--yes");
  await whileServed(shop, commands, async (dev) => assert.deepEqual(await dev.texts(), ["of dev"]));
}

const PYTHON: Readonly<Record<string, Commands>> = {
  python: {
    tables: { make: ["alembic", "upgrade", "head"], drop: ["alembic", "downgrade", "base"] },
    serve: (port) => ["uvicorn", "main:app", "--port", String(port)],
  },
  django: {
    tables: {
      make: ["python3", "manage.py", "migrate"],
      drop: ["python3", "manage.py", "migrate", "notes", "zero"],
    },
    serve: (port) => ["python3", "manage.py", "runserver", "--noreload", String(port)], // that has a process more
  },
};

for (const [name, commands] of Object.entries(PYTHON)) {
  const packages = pythonPackages("-r", join(REPO, "examples", name, "requirements.txt"));
  testIf(whyWithout(packages), `examples/${name}: two environments at once have each their own notes`, async () => {
    assert("path" in packages);
    using shop = new Shop(`examples/${name}`, pythonVariables(packages.path));
    await showsIsolation(shop, commands);
  });
}

// It is compiled with its driver, which takes a minute where nothing of it is cached.
if (SIZE === "full") {
  const debian = debianBinaries();
  const why = whyMissing("go") ?? ("reason" in debian ? debian.reason : undefined);
  testIf(why, "examples/go: two environments at once have each their own notes", async () => {
    assert("bin" in debian);
    await using server = await startServer(debian.bin);
    await server.query('CREATE DATABASE "notes-dev"');
    await server.query('REVOKE CONNECT ON DATABASE "notes-dev" FROM PUBLIC');
    const { GOCACHE, GOMODCACHE, GOPROXY } = process.env;
    const given = Object.entries({ GOCACHE, GOMODCACHE, GOPROXY }).filter(([, value]) => value !== undefined);
    using shop = new Shop("examples/go", { ...Object.fromEntries(given), POSTGRES_URL: server.url() });
    shop.run("go", "build", "-o", "notes", ".");
    assert(existsSync(join(shop.root, "notes")));
    await showsIsolation(shop, { serve: (port) => ["env", `PORT=${port}`, "./notes"] });
  });
}
