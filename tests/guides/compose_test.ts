/** The compose file of docs/guides/docker-compose.md, read by compose-go, which is Docker Compose's own parser. */
import assert from "node:assert/strict";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Place } from "../cli/run.ts";
import { run, testIf } from "../helpers.ts";
import { SIZE } from "../sizes.ts";
import { whyMissing } from "../tools.ts";
import { temporaryProject } from "../runtime_helpers.ts";
import { stepsOf } from "./page.ts";

const MODULE = "github.com/compose-spec/compose-go/v2@v2.16.2";
const PAGE = readFileSync(new URL("../../docs/guides/docker-compose.md", import.meta.url), "utf8");
const COMPOSE = stepsOf(PAGE).find((step) => step.kind === "file" && step.path === "compose.yaml")!.text;

/** The part of a service that is looked at. */
interface Service {
  readonly environment: Readonly<Record<string, string>>;
  readonly network_mode?: string;
  readonly ports?: readonly { readonly host_ip: string; readonly published: string; readonly target: number }[];
}

const name = "docs/guides/docker-compose.md: Compose gives the app the current environment's variables";

// It fetches Go modules.
if (SIZE === "full") testIf(whyMissing("go"), name, readsAsCompose);

async function readsAsCompose(): Promise<void> {
  using go = temporaryProject();
  copyFileSync(fileURLToPath(new URL("compose.go", import.meta.url)), join(go.path, "main.go"));
  const env = { ...process.env, GOFLAGS: "-mod=mod" };
  for (const args of [["mod", "init", "compose"], ["get", MODULE], ["build", "-o", "read", "."]]) {
    await run("go", args, { cwd: go.path, env });
  }
  await using place = await Place.make();
  await place.ok("new", "alice");
  const services = async (text: string): Promise<Record<string, Service>> => {
    writeFileSync(place.path("compose.yaml"), text);
    return JSON.parse((await run(join(go.path, "read"), [], { cwd: place.root })).stdout);
  };
  const { app, db, cache } = await services(COMPOSE);
  assert.equal(app!.environment.FORKSTACK_ENV, "alice");
  assert.match(app!.environment.DATABASE_URL!, /shop-alice\.db$/);
  assert.equal(app!.network_mode, "host");
  for (const [service, port] of [[db, 5432], [cache, 6379]] as const) {
    const [published] = service!.ports!;
    assert.deepEqual([published!.host_ip, published!.published, published!.target], ["127.0.0.1", String(port), port]);
  }
  // As the page says: what stands under `environment` wins.
  const other = await services(COMPOSE.replace("env_file:", "environment: { DATABASE_URL: other }\n    env_file:"));
  assert.equal(other.app!.environment.DATABASE_URL, "other");
  await assert.rejects(services(COMPOSE.replace("network_mode", "network_mood")));
}
