/**
 * What is copied keeps its owners; in a fork it must be its own role's, so that the application can change it.
 * `REASSIGN OWNED` won't do: it takes shared objects along, the parent database among them.
 * https://www.postgresql.org/docs/18/sql-reassign-owned.html
 */

/** Gives every schema, relation, routine, type and large object of the current database to a role, given as a literal. */
export function ADOPT(role: string): string {
  return `DO $adopt$ DECLARE one text; BEGIN FOR one IN
  WITH own AS (SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
  of_extension AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
  inner_one AS (SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
    AND refobjsubid > 0 AND deptype IN ('a', 'i')),
  found AS (
    SELECT 1 AS n, format('SCHEMA %I', nspname) AS what, 'pg_namespace'::regclass AS class, oid
      FROM pg_namespace WHERE oid IN (TABLE own) AND pg_get_userbyid(nspowner) <> 'pg_database_owner'
    UNION ALL SELECT 2, CASE relkind WHEN 'S' THEN 'SEQUENCE ' WHEN 'v' THEN 'VIEW ' WHEN 'm' THEN 'MATERIALIZED VIEW '
      WHEN 'f' THEN 'FOREIGN TABLE ' WHEN 'c' THEN 'TYPE ' ELSE 'TABLE ' END || oid::regclass, 'pg_class'::regclass, oid
      FROM pg_class WHERE relnamespace IN (TABLE own) AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
      AND NOT (relkind = 'S' AND oid IN (TABLE inner_one))
    UNION ALL SELECT 3, 'ROUTINE ' || oid::regprocedure, 'pg_proc'::regclass, oid
      FROM pg_proc WHERE pronamespace IN (TABLE own)
    UNION ALL SELECT 4, 'TYPE ' || oid::regtype, 'pg_type'::regclass, oid
      FROM pg_type WHERE typnamespace IN (TABLE own) AND typtype IN ('e', 'd', 'r')
    UNION ALL SELECT 5, 'LARGE OBJECT ' || oid, 'pg_largeobject'::regclass, oid FROM pg_largeobject_metadata)
  SELECT what FROM found WHERE (class, oid) NOT IN (TABLE of_extension) ORDER BY n, oid
  LOOP EXECUTE format('ALTER %s OWNER TO %I', one, ${role}); END LOOP; END $adopt$`;
}
