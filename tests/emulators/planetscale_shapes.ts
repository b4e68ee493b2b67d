/**
 * What PlanetScale's API answers with, whole: each field that its specification asks for.
 */
import type { Data } from "./planetscale_data.ts";

type Kind = Data["kind"];

/** A branch. */
export interface Branch {
  readonly id: string;
  name: string;
  parent: string | null;
  readonly restoredFrom: Branch | null;
  readonly createdAt: string;
  readonly cluster: string;
  readonly logins: Map<string, Login>;
  /** How often it is still not ready. */
  settling: number;
  state?: string;
  production: boolean;
  protected: boolean;
  safeMigrations: boolean;
}

/** A password, or a role. */
export interface Login {
  readonly id: string;
  readonly name: string;
  readonly user: string;
  readonly secret: string;
  readonly role: "reader" | "admin";
  readonly expiresAt: number;
  readonly host: string;
  readonly database: string;
  settling: number;
}

const ACTOR = { id: "a1", display_name: "a service token", avatar_url: "" };
const REGION = {
  id: "r1",
  provider: "AWS",
  enabled: true,
  public_ip_addresses: [],
  display_name: "AWS us-east-1",
  location: "Ashburn, Virginia",
  slug: "us-east",
  current_default: true,
  mysql_supported: true,
  postgresql_supported: true,
};

function times(at: string) {
  return { created_at: at, updated_at: at };
}

function short({ id, name, createdAt }: Branch) {
  return { id, name, ...times(createdAt), deleted_at: null };
}

/** An organization. */
export function organizationShape(name: string) {
  return {
    id: "o1",
    name,
    billing_email: "billing@example.com",
    ...times(new Date(0).toISOString()),
    plan: "scaler_pro",
    valid_billing_info: true,
    sso: false,
    sso_directory: false,
    single_tenancy: false,
    managed_tenancy: false,
    database_count: 1,
    features: {},
    idp_managed_roles: false,
    invoice_budget_amount: "0.00",
    keyspace_shard_limit: 1,
    has_card: true,
    payment_info_required: false,
  };
}

/** What changes in a database. */
export interface DatabaseState {
  readonly branches: number;
  readonly production: number;
  readonly isReady: boolean;
  readonly isFullOfRestored: boolean;
  readonly isFullOfDevelopment: boolean;
  readonly allowDataBranching: boolean;
}

/** A database. */
export function databaseShape(name: string, kind: Kind, defaultBranch: string, state: DatabaseState) {
  const { branches, production, isReady } = state;
  return {
    id: "d1",
    url: "",
    branches_url: "",
    branches_count: branches,
    open_schema_recommendations_count: 0,
    development_branches_count: branches - production,
    production_branches_count: production,
    multiple_admins_required_for_deletion: false,
    ready: isReady,
    at_backup_restore_branches_limit: state.isFullOfRestored,
    at_development_branch_usage_limit: state.isFullOfDevelopment,
    region: REGION,
    html_url: "",
    name,
    state: isReady ? "ready" : "pending",
    sharded: false,
    default_branch_shard_count: 1,
    default_branch_read_only_regions_count: 0,
    default_branch_table_count: 1,
    default_branch: defaultBranch,
    require_approval_for_deploy: false,
    deletion_protected: false,
    resizing: false,
    resize_queued: false,
    config_changing: false,
    config_change_queued: false,
    allow_data_branching: state.allowDataBranching,
    foreign_keys_enabled: true,
    restrict_branch_region: false,
    insights_raw_queries: false,
    plan: "scaler_pro",
    insights_enabled: false,
    production_branch_web_console: false,
    ...times(new Date(0).toISOString()),
    schema_last_updated_at: null,
    kind,
  };
}

/** A branch. */
export function branchShape(branch: Branch, kind: Kind) {
  const { id, name, parent, restoredFrom, createdAt, cluster, production, safeMigrations } = branch;
  const isReady = branch.settling === 0 && branch.state === undefined;
  return {
    id,
    name,
    ...times(createdAt),
    deleted_at: null,
    restore_checklist_completed_at: null,
    schema_last_updated_at: null,
    kind,
    mysql_address: "",
    mysql_edge_address: "aws.connect.psdb.cloud",
    state: branch.state ?? (isReady ? "ready" : "pending"),
    direct_vtgate: false,
    vtgate_size: "",
    vtgate_name: null,
    vtgate_count: 1,
    vtgate_autoscaling: false,
    vtgate_max_count: null,
    vtgate_target_cpu_utilization: null,
    cluster_name: cluster,
    cluster_iops: null,
    ready: isReady,
    schema_ready: isReady,
    metal: false,
    production,
    safe_migrations: safeMigrations,
    deletion_protected: branch.protected,
    sharded: false,
    shard_count: 1,
    keyspace_count: 1,
    stale_schema: false,
    actor: ACTOR,
    restored_from_branch: restoredFrom && short(restoredFrom),
    private_edge_connectivity: false,
    has_replicas: false,
    has_read_only_replicas: false,
    html_url: "",
    url: "",
    region: REGION,
    parent_branch: parent,
    vtgate_options: {},
  };
}

/** A backup that was whole at an instant. */
export function backupShape(id: string, at: string) {
  return {
    id,
    name: at,
    state: "success",
    size: 1,
    estimated_storage_cost: 0,
    ...times(at),
    started_at: at,
    expires_at: new Date(Date.parse(at) + 30 * 86_400_000).toISOString(),
    completed_at: at,
    deleted_at: null,
    pvc_size: 1,
    uncompressed_size: 1,
    protected: false,
    required: false,
    restored_branches: [],
    actor: ACTOR,
  };
}

/** A password, or a role; its secret is told once. */
export function loginShape(branch: Branch, login: Login, kind: Kind, now: number, isNew = false) {
  const { id, name, user, secret, role, expiresAt, host, database, settling } = login;
  const isExpired = expiresAt <= now;
  const expires = expiresAt === Infinity ? null : new Date(expiresAt).toISOString();
  const common = {
    id,
    name,
    ...times(branch.createdAt),
    deleted_at: null,
    expires_at: expires,
    expired: isExpired,
    actor: ACTOR,
    username: user,
    access_host_url: host,
  };
  if (kind === "mysql") {
    return {
      ...common,
      role,
      cidrs: null,
      last_used_at: null,
      direct_vtgate: false,
      direct_vtgate_addresses: [],
      ttl_seconds: null,
      access_host_regional_url: host,
      access_host_regional_urls: [host],
      region: REGION,
      plain_text: isNew ? secret : null,
      replica: false,
      renewable: false,
      database_branch: {
        name: branch.name,
        id: branch.id,
        production: branch.production,
        mysql_edge_address: host,
        private_edge_connectivity: false,
      },
    };
  }
  return {
    ...common,
    private_access_host_url: "",
    private_connection_service_name: "",
    base_username: user.split(".")[0],
    password: isNew ? secret : "",
    database_name: database,
    dropped_at: null,
    disabled_at: null,
    drop_failed: "",
    ready: settling === 0,
    default: false,
    ttl: 0,
    inherited_roles: role === "admin" ? ["postgres"] : ["pg_read_all_data"],
    with_replication: false,
    branch: short(branch),
    query_safety_settings: { require_where_on_delete: "warn", require_where_on_update: "warn" },
  };
}
