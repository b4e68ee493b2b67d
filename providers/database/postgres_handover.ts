/**
 * The handover of a copied database to the fork's role: it becomes the owner of all that can be given, and gets none of
 * the ways out to other servers.
 *
 * - https://www.postgresql.org/docs/18/sql-createforeigndatawrapper.html, .../postgres-fdw.html, .../dblink.html
 * - https://www.postgresql.org/docs/18/sql-reassign-owned.html
 */
import { ForkstackError } from "../../mod.ts";
import { literal, type Query } from "../_shared/postgres.ts";

/** The terms of a handover. */
export interface Handover {
  /** The parent's name, for errors; absent: nothing was copied. */
  readonly parent?: string | undefined;
  /** The fork's role. */
  readonly role: string;
  /** Hand over the ways out as well. */
  readonly allowOutbound?: boolean | undefined;
}

/**
 * Hands the current database over, in one transaction. Names are looked up in `pg_catalog` alone: a function of the copy
 * must not run as the role of this connection. For the same reason event triggers are off, where that is allowed.
 */
export async function handOver(query: Query, { parent, role, allowOutbound }: Handover): Promise<void> {
  const isOpen = allowOutbound || parent === undefined;
  const first = [QUIET, PATH, ADOPT(literal(role), isOpen ? "false" : LEADS), `SELECT ${LEADS} AS leads`];
  const told = await query(first.join(";\n"));
  if (isOpen || !told.at(-1)[0].leads) return;
  const ways = await query(WAYS_OUT) as WayOut[];
  const kept = ways.filter(({ isOurs }) => !isOurs);
  if (kept.length > 0) throw leadsOut(parent!, kept);
  await query([QUIET, ...ways.map(({ cut }) => cut), ADOPT(literal(role), "false")].join(";\n"));
}

/** A way out of a database, with the statement that closes it in the copy. */
interface WayOut {
  readonly what: string;
  readonly cut: string;
  /** This connection may run the statement. */
  readonly isOurs: boolean;
}

/**
 * Extensions whose functions connect to other servers. A fork's role may not call them; foreign-data wrappers need no
 * list, the catalog has them.
 */
const CALLERS = ["dblink", "http", "aws_s3", "aws_lambda"];

/** Expression that tells whether there may be a way out: most databases have none, and are handed over at once. */
const LEADS = `(EXISTS (SELECT FROM pg_foreign_data_wrapper) OR EXISTS (SELECT FROM pg_extension
  WHERE extname = ANY (ARRAY[${CALLERS.map(literal).join(", ")}])))`;

/**
 * Query for the ways out. A superuser takes away the wrapper's handler, without which no foreign table is read, and then
 * every option: also those of servers and tables may be passwords, and everybody may read them. Any other role does what
 * a server's owner may, which is enough for wrappers that connect with a user mapping only. Functions that connect can be
 * closed by a superuser alone; without one they matter where the copy's own code calls them.
 */
const WAYS_OUT = `WITH me AS (SELECT current_setting('is_superuser') = 'on' AS is_super),
  server AS (SELECT s.*, is_super OR pg_has_role(srvowner, 'USAGE') AS is_ours FROM pg_foreign_server s, me),
  wrapper AS (SELECT w.*, fdwhandler = 0 OR EXISTS (SELECT FROM pg_proc WHERE oid = fdwhandler
    AND probin LIKE '%postgres_fdw') AS needs_mapping FROM pg_foreign_data_wrapper w
    WHERE fdwoptions IS NOT NULL OR oid IN (SELECT srvfdw FROM pg_foreign_server)),
  caller AS (SELECT p.* FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
    AND d.deptype = 'e' JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
    AND extname = ANY (ARRAY[${CALLERS.map(literal).join(", ")}])),
  named AS (SELECT '\\m(' || string_agg(DISTINCT proname, '|') || ')\\s*\\(' AS pattern FROM caller),
  code AS (SELECT 'function ' || oid::regprocedure AS what, prosrc AS text FROM pg_proc
      WHERE pronamespace <> 'pg_catalog'::regnamespace AND NOT EXISTS
        (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e')
    UNION ALL SELECT 'view ' || c.oid::regclass, pg_get_viewdef(c.oid) FROM pg_class c WHERE relkind IN ('v', 'm')
      AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      AND EXISTS (SELECT FROM named WHERE pattern IS NOT NULL)),
  dropped AS (SELECT 0 AS class, 0::oid AS id, '' AS options WHERE false
    UNION ALL SELECT 1, oid, ${dropsOf("fdwoptions")} FROM wrapper WHERE fdwoptions IS NOT NULL
    UNION ALL SELECT 2, oid, ${dropsOf("srvoptions")} FROM server WHERE srvoptions IS NOT NULL
    UNION ALL SELECT 3, ftrelid, ${dropsOf("ftoptions")} FROM pg_foreign_table WHERE ftoptions IS NOT NULL)
SELECT what, cut, is_ours AS "isOurs" FROM (
  SELECT 1 AS n, 'foreign-data wrapper ' || fdwname AS what,
      format('ALTER FOREIGN DATA WRAPPER %I NO HANDLER NO VALIDATOR', fdwname) AS cut, is_super AS is_ours
    FROM wrapper, me WHERE is_super OR NOT needs_mapping
  UNION ALL SELECT 2, 'user mapping of server ' || s.srvname, format('DROP USER MAPPING FOR %s SERVER %I',
      CASE umuser WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(umuser)) END, s.srvname), is_ours
    FROM pg_user_mappings m JOIN server s ON s.oid = m.srvid
  UNION ALL SELECT 3, 'foreign-data wrapper ' || fdwname, format('ALTER FOREIGN DATA WRAPPER %I OPTIONS (%s)', fdwname,
      options), is_super FROM dropped JOIN wrapper w ON class = 1 AND id = w.oid, me
  UNION ALL SELECT 4, 'server ' || srvname, format('ALTER SERVER %I OPTIONS (%s)', srvname, options), is_ours
    FROM dropped JOIN server s ON class = 2 AND id = s.oid
  UNION ALL SELECT 5, 'foreign table ' || id::regclass, format('ALTER FOREIGN TABLE %s OPTIONS (%s)', id::regclass,
      options), true FROM dropped, me WHERE class = 3 AND is_super
  UNION ALL SELECT 6, 'foreign table ' || attrelid::regclass, format('ALTER FOREIGN TABLE %s ALTER COLUMN %I OPTIONS (%s)',
      attrelid::regclass, attname, ${dropsOf("attfdwoptions")}), true
    FROM pg_attribute, me WHERE attfdwoptions IS NOT NULL AND is_super
  UNION ALL SELECT 7, 'function ' || c.oid::regprocedure, format('REVOKE EXECUTE ON ROUTINE %s FROM %s',
      c.oid::regprocedure, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END), true
    FROM caller c CROSS JOIN me, aclexplode(coalesce(proacl, acldefault('f', proowner)))
    WHERE is_super AND grantee <> proowner
  UNION ALL SELECT 8, code.what, '', false FROM code, named, me WHERE NOT is_super AND text ~* pattern
) ways ORDER BY n, what`;

/** Returns an expression for a list that drops all options of a column. */
function dropsOf(column: string): string {
  return `(SELECT string_agg(format('DROP %I', option_name), ', ') FROM pg_options_to_table(${column}))`;
}

function leadsOut(parent: string, kept: readonly WayOut[]): ForkstackError {
  const each = [...new Set(kept.map(({ what }) => what))];
  const shown = `${each.slice(0, 5).join(", ")}${each.length > 5 ? `, and ${each.length - 5} more` : ""}`;
  return new ForkstackError("PARENT_OUTBOUND", `Cannot fork database "${parent}": its copy leads out by ${shown}`, {
    hint:
      "A fork must not reach what its parent reaches. Use a superuser, who can close these in the copy; take them " +
      'out of the parent; or set "allowOutbound": true in forkstack.json',
  });
}

/** Statement after which names are those of the server alone. */
const PATH = "SET search_path = pg_catalog, pg_temp";

/** Statement that keeps event triggers from running, for whom the server lets. */
const QUIET = `DO $quiet$ BEGIN IF pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on' THEN
  SET LOCAL session_replication_role = replica; END IF; END $quiet$`;

/**
 * Returns a statement that gives all that has an owner in the current database to a role, given as a literal, unless a
 * condition holds: a copy keeps its owners, and the application has to change it. `REASSIGN OWNED` also takes shared
 * objects, the parent database among them. Members of extensions stay, a composite type being one by its row in
 * `pg_type`; so do event triggers, which only a superuser may own, and their functions: who owns one acts as everybody
 * who changes the schema.
 */
function ADOPT(role: string, unless: string): string {
  return `DO $adopt$ DECLARE one text; BEGIN IF ${unless} THEN RETURN; END IF; FOR one IN
  WITH own AS (SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
  of_extension AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
  inner_one AS (SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
    AND refobjsubid > 0 AND deptype IN ('a', 'i')),
  other AS (SELECT 'pg_operator'::regclass AS class, oid, oprnamespace AS space, oprowner AS owner FROM pg_operator
    UNION ALL SELECT 'pg_opclass'::regclass, oid, opcnamespace, opcowner FROM pg_opclass
    UNION ALL SELECT 'pg_opfamily'::regclass, oid, opfnamespace, opfowner FROM pg_opfamily
    UNION ALL SELECT 'pg_collation'::regclass, oid, collnamespace, collowner FROM pg_collation
    UNION ALL SELECT 'pg_conversion'::regclass, oid, connamespace, conowner FROM pg_conversion
    UNION ALL SELECT 'pg_ts_config'::regclass, oid, cfgnamespace, cfgowner FROM pg_ts_config
    UNION ALL SELECT 'pg_ts_dict'::regclass, oid, dictnamespace, dictowner FROM pg_ts_dict
    UNION ALL SELECT 'pg_statistic_ext'::regclass, oid, stxnamespace, stxowner FROM pg_statistic_ext
    UNION ALL SELECT 'pg_type'::regclass, oid, typnamespace, typowner FROM pg_type WHERE typtype = 'b' AND typarray <> 0),
  found AS (
    SELECT 1 AS n, format('SCHEMA %I', nspname) AS what, 'pg_namespace'::regclass AS class, oid
      FROM pg_namespace WHERE oid IN (TABLE own) AND pg_get_userbyid(nspowner) <> 'pg_database_owner'
      AND (pg_has_role(nspowner, 'USAGE')
        OR nspname <> 'public' AND oid NOT IN (SELECT extnamespace FROM pg_extension))
    UNION ALL SELECT 2, CASE relkind WHEN 'S' THEN 'SEQUENCE ' WHEN 'v' THEN 'VIEW ' WHEN 'm' THEN 'MATERIALIZED VIEW '
      WHEN 'f' THEN 'FOREIGN TABLE ' ELSE 'TABLE ' END || oid::regclass, 'pg_class'::regclass, oid
      FROM pg_class WHERE relnamespace IN (TABLE own) AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND NOT (relkind = 'S' AND oid IN (TABLE inner_one))
    UNION ALL SELECT 2, 'TYPE ' || oid::regclass, 'pg_type'::regclass, reltype
      FROM pg_class WHERE relnamespace IN (TABLE own) AND relkind = 'c'
    UNION ALL SELECT 3, 'ROUTINE ' || oid::regprocedure, 'pg_proc'::regclass, oid
      FROM pg_proc WHERE pronamespace IN (TABLE own) AND oid NOT IN (SELECT evtfoid FROM pg_event_trigger)
    UNION ALL SELECT 4, 'TYPE ' || oid::regtype, 'pg_type'::regclass, oid
      FROM pg_type WHERE typnamespace IN (TABLE own) AND typtype IN ('e', 'd', 'r')
    UNION ALL SELECT 5, 'LARGE OBJECT ' || oid, 'pg_largeobject'::regclass, oid FROM pg_largeobject_metadata
    UNION ALL SELECT 6, (SELECT replace(type, ' object', '') || ' ' || identity FROM pg_identify_object(class, oid, 0)),
      class, oid FROM other WHERE space IN (TABLE own) AND pg_has_role(owner, 'USAGE'))
  SELECT what FROM found WHERE (class, oid) NOT IN (TABLE of_extension) ORDER BY n, oid
  LOOP EXECUTE format('ALTER %s OWNER TO %I', one, ${role}); END LOOP;
  FOR one IN SELECT pubname FROM pg_publication WHERE pg_has_role(pubowner, 'USAGE') LOOP
    BEGIN EXECUTE format('ALTER PUBLICATION %I OWNER TO %I', one, ${role});
    EXCEPTION WHEN insufficient_privilege THEN NULL; -- of all tables, or of a schema: only a superuser may give it
    END;
  END LOOP; END $adopt$`;
}
