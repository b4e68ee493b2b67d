/** The objects of a copy that a fork's role is given, and those that it is not: ways out to other servers. */
import assert from "node:assert/strict";
import provider from "../../providers/database/postgres.ts";
import { pipBinaries, type Server, startServer } from "../emulators/postgres_server.ts";
import { byMaker, old, onServer, type Options, targetOf, urlOf, whyNoOld, whyWithout } from "./_postgres.ts";

const STRATEGIES = ["template", "dump"] as const;

/** Owners of what extensions made in a database, and of the extensions. */
async function ownersOfExtensions(server: Server, database: string): Promise<string[]> {
  const found = await server.query(
    `SELECT pg_describe_object(d.classid, d.objid, 0) || ' of ' || pg_get_userbyid(coalesce(c.relowner, p.proowner,
      t.typowner, n.nspowner)) AS one FROM pg_depend d
      LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
      LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
      LEFT JOIN pg_type t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid
      LEFT JOIN pg_namespace n ON d.classid = 'pg_namespace'::regclass AND n.oid = d.objid
      WHERE d.deptype = 'e' UNION ALL SELECT extname || ' of ' || pg_get_userbyid(extowner) FROM pg_extension ORDER BY 1`,
    database,
  );
  return found.map(({ one }) => one).filter((one) => one !== null);
}

const PLACES = `CREATE TABLE places (id serial PRIMARY KEY, name text, at geometry(Point, 4326));
  INSERT INTO places (name, at) SELECT 'place ' || n, ST_SetSRID(ST_MakePoint(n, n), 4326) FROM generate_series(1, 50) n;
  CREATE INDEX ON places USING gist (at); CREATE TYPE pair AS (a int, b geometry);
  CREATE VIEW near AS SELECT name FROM places WHERE ST_DWithin(at, ST_SetSRID(ST_MakePoint(3, 3), 4326), 1)`;

const whyNoPostgis = await whyWithout("postgis_topology", old, whyNoOld);
for (const strategy of STRATEGIES) {
  const who = strategy === "template" ? "a role without superuser" : "a superuser";
  onServer(old, whyNoPostgis, `PostGIS by ${strategy} for ${who}: its types stay its own`, async (server, root) => {
    await server.query(
      "CREATE EXTENSION postgis; CREATE EXTENSION postgis_raster; CREATE EXTENSION postgis_topology",
      "shop-dev",
    );
    const maker = await byMaker(server, PLACES);
    const context = strategy === "template" ? maker : root;
    const target = targetOf("alice", { options: { strategy } });
    const fork = await provider.create(context, target);
    assert.deepEqual(await ownersOfExtensions(server, fork.name), await ownersOfExtensions(server, "shop-dev"));
    const [seen] = await server.session(await urlOf(context, fork), async (query) => {
      await query(`ALTER TABLE places ADD COLUMN area geometry; DROP TYPE pair;
        INSERT INTO places (name, at) VALUES ('new', ST_SetSRID(ST_MakePoint(3, 3.5), 4326))`);
      return await query(
        "SELECT count(*)::int AS n, ST_AsText(ST_Centroid(ST_Collect(at))) AS at FROM places NATURAL JOIN near",
      );
    });
    assert.deepEqual(seen, { n: 2, at: "POINT(3 3.25)" });
    await (await provider.reset!(context, fork, target)).commit();
    assert.equal(await provider.delete(context, fork, target), "deleted");
  });
}

const pip = pipBinaries();
const whyNoVector = await whyWithout("vector", old, whyNoOld);
const vectors = whyNoVector === undefined ? old : "bin" in pip ? await startServer(pip.bin) : undefined;
const whyNoVectors = vectors === undefined
  ? "reason" in pip ? `${whyNoVector}; ${pip.reason}` : whyNoVector
  : undefined;

const ITEMS = `CREATE TABLE items (id serial PRIMARY KEY, embedding vector(3), wide vector(2000));
  INSERT INTO items (embedding) SELECT ARRAY[n, n % 7, 1]::vector FROM generate_series(1, 200) n;
  CREATE INDEX by_list ON items USING ivfflat (embedding vector_l2_ops) WITH (lists = 4);
  CREATE INDEX by_graph ON items USING hnsw (embedding vector_cosine_ops)`;
const NEAREST = `SET enable_seqscan = off; SET ivfflat.probes = 4;
  SELECT id FROM items ORDER BY embedding <-> '[40, 5, 1]' LIMIT 3`;

for (const who of ["a superuser", "a role without superuser"]) {
  onServer(
    vectors,
    whyNoVectors,
    `pgvector: columns and indexes of a fork by template, for ${who}`,
    async (server, root) => {
      await server.query("CREATE EXTENSION vector", "shop-dev");
      const maker = await byMaker(server, ITEMS);
      const context = who === "a superuser" ? root : maker;
      const target = targetOf("alice", { options: { strategy: "template" } });
      const fork = await provider.create(context, target);
      const url = await urlOf(context, fork);
      assert.deepEqual(await server.query(NEAREST, "", url), await server.query(NEAREST, "shop-dev"));
      await server.query("INSERT INTO items (id, embedding) VALUES (1000, '[40, 5, 1.5]')", "", url);
      const near = (await server.query(NEAREST, "", url)).flat().map(({ id }) => id);
      assert(near.includes(1000), `${near}`);
      const [{ plan }] = await server.session(url, async (query) => {
        await query("SET enable_seqscan = off");
        const lines = await query("EXPLAIN SELECT id FROM items ORDER BY embedding <=> '[1, 1, 1]' LIMIT 3");
        return [{ plan: lines.map((line) => line["QUERY PLAN"]).join("\n") }];
      });
      assert.match(plan, /Index Scan using by_graph/);
      await server.query(
        "REINDEX INDEX by_list; DROP INDEX by_graph; ALTER TABLE items ADD COLUMN more vector(2)",
        "",
        url,
      );
      assert.deepEqual(await ownersOfExtensions(server, fork.name), await ownersOfExtensions(server, "shop-dev"));
      await provider.delete(context, fork, target);
    },
  );
}

const KINDS = `CREATE FUNCTION plus(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2';
  CREATE OPERATOR public.|+| (LEFTARG = int, RIGHTARG = int, FUNCTION = plus);
  CREATE FUNCTION cmp(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 0';
  CREATE OPERATOR CLASS mine FOR TYPE int USING hash AS OPERATOR 1 =, FUNCTION 1 hashint4(int);
  CREATE COLLATION sorted FROM "C"; CREATE DEFAULT CONVERSION "my Conversion" FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
  CREATE TEXT SEARCH CONFIGURATION searched (COPY = simple); CREATE TEXT SEARCH DICTIONARY words (TEMPLATE = simple);
  CREATE STATISTICS counted ON id, text FROM notes; CREATE TYPE base;
  CREATE FUNCTION base_in(cstring) RETURNS base LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
  CREATE FUNCTION base_out(base) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
  CREATE TYPE base (INPUT = base_in, OUTPUT = base_out, LIKE = int);
  CREATE TYPE "a Pair" AS (a int, b int); CREATE AGGREGATE total (int) (SFUNC = plus, STYPE = int);
  CREATE PUBLICATION one FOR TABLE notes; CREATE PUBLICATION everything FOR ALL TABLES;
  CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''it ran''; END';
  CREATE EVENT TRIGGER guard ON ddl_command_start EXECUTE FUNCTION on_ddl();`;

for (const strategy of STRATEGIES) {
  onServer(
    old,
    whyNoOld,
    `all that can be handed over is the fork's role's, by ${strategy}`,
    async (server, context) => {
      await server.query(KINDS, "shop-dev");
      const options: Options = { strategy };
      const fork = await provider.create(context, targetOf("alice", { options }));
      const others = await server.query( // what the first superuser owns is pinned, and in no pg_shdepend
        `SELECT 'publication ' || pubname AS one FROM pg_publication WHERE pg_get_userbyid(pubowner) <> '${fork.name}'
       UNION ALL SELECT 'event trigger ' || evtname FROM pg_event_trigger WHERE pg_get_userbyid(evtowner) <> '${fork.name}'
       ${
          Object.entries({
            pg_class: "rel",
            pg_proc: "pro",
            pg_type: "typ",
            pg_operator: "opr",
            pg_opclass: "opc",
            pg_opfamily: "opf",
            pg_collation: "coll",
            pg_conversion: "con",
            pg_ts_config: "cfg",
            pg_ts_dict: "dict",
            pg_statistic_ext: "stx",
          }).map(([catalog, of]) =>
            `UNION ALL SELECT pg_describe_object('${catalog}'::regclass, oid, 0) FROM ${catalog}
            WHERE ${of}namespace = 'public'::regnamespace AND pg_get_userbyid(${of}owner) <> '${fork.name}'`
          ).join(" ")
        } ORDER BY 1`,
        fork.name,
      );
      assert.deepEqual(others.map(({ one }) => one), [
        "event trigger guard", // of a superuser only, and so is what runs in it
        "function on_ddl()",
      ]);
      await assert.rejects(server.query("CREATE TABLE x (x int)", "", await urlOf(context, fork)), /it ran/);
      await provider.delete(context, fork, targetOf("alice"));
    },
  );
}

/** Traps that an owner of the parent, who is no superuser, leaves there for a superuser to run. */
const TRAPS: Readonly<Record<string, string>> = {
  "an operator": `CREATE FUNCTION trap(text, regclass) RETURNS text LANGUAGE plpgsql AS $$BEGIN
      ALTER ROLE maker SUPERUSER; RETURN $1 || $2::text; END$$;
    CREATE OPERATOR public.|| (LEFTARG = text, RIGHTARG = regclass, FUNCTION = trap)`,
  "a function of text": `CREATE FUNCTION format(text, text, text) RETURNS text LANGUAGE plpgsql AS $$BEGIN
      ALTER ROLE maker SUPERUSER; RETURN pg_catalog.format($1, $2, $3); END$$`,
  "a function of objects": `CREATE STATISTICS counted ON id, text FROM notes;
    CREATE FUNCTION pg_identify_object(regclass, oid, int, OUT type text, OUT identity text) LANGUAGE plpgsql AS $$BEGIN
      ALTER ROLE maker SUPERUSER; type := 'TABLE'; identity := 'public.notes'; END$$`,
};
for (const [what, sql] of Object.entries(TRAPS)) {
  onServer(old, whyNoOld, `${what} in the parent never runs as the superuser who hands over`, async (server, root) => {
    await byMaker(server, sql);
    await server.query('ALTER DATABASE "shop-dev" SET search_path = public, pg_catalog');
    const fork = await provider.create(root, targetOf("alice", { options: { strategy: "template" } }));
    await provider.probe(root, fork, targetOf("alice"));
    await provider.outputs(root, fork, targetOf("alice"));
    assert.deepEqual(await server.query("SELECT rolsuper FROM pg_roles WHERE rolname = 'maker'"), [{
      rolsuper: false,
    }]);
    await provider.delete(root, fork, targetOf("alice"));
  });
}
