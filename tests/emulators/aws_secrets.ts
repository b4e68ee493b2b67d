/**
 * AWS Secrets Manager of one account and region: the JSON 1.1 protocol, Signature Version 4 checked, lists that lag,
 * deletions with a recovery window.
 *
 * Built from the service's model (boto/botocore, secretsmanager/2017-10-17) and its user guide, as
 * ../shared/vendors/storage-and-secrets.md sums them up, section 6.
 */
import { createHash, createHmac } from "node:crypto";
import { globMatcher } from "../../core/system/glob.ts";
import { serve, type Served } from "./serve.ts";

export interface AwsOptions {
  readonly region: string;
  /** Rights by access key. */
  readonly keys: Readonly<Record<string, Key>>;
  /** Delay of lists in milliseconds. @default {0} */
  readonly lagMs?: number;
  /** Time in milliseconds that a name stays taken after a deletion at once. @default {2000} */
  readonly takenMs?: number;
  /** Most calls per second, except those that read values. @default {none} */
  readonly rate?: number;
  /**
   * A batch fails as a whole for a secret without a value, and by a filter for one that is to be deleted, as in moto
   * 5.2.5. @default {true}
   */
  readonly isBatchWhole?: boolean;
  readonly maxSecrets?: number;
  /** Most secrets on a page of ListSecrets. @default {100} */
  readonly pageSize?: number;
}

interface Key {
  readonly secret: string;
  readonly session?: string;
  /** Names of operations that are refused. */
  readonly denied?: readonly string[];
  /** The permitted actions. @default {everything} */
  readonly policy?: Policy;
  readonly expired?: boolean;
}

/** An IAM policy, as far as it is understood: it allows, and its resources may hold `*`. */
export interface Policy {
  readonly Statement: readonly { readonly Action: readonly string[]; readonly Resource: string }[];
}

interface Content {
  readonly SecretString?: string;
  readonly SecretBinary?: string;
}

interface Stored {
  readonly arn: string;
  readonly name: string;
  readonly versions: Map<string, Content>;
  current: string;
  readonly tags: Map<string, string>;
  description: string;
  readonly createdAt: number;
  /** Instant of the final deletion. */
  deletedAt?: number;
}

// deno-lint-ignore no-explicit-any -- a request's fields, checked where they are read
type Body = Record<string, any>;

class Refusal extends Error {
  readonly type: string;
  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

export class AwsSecrets {
  readonly secrets = new Map<string, Stored>();
  readonly requests: { readonly what: string; readonly secret: string | undefined; status: number }[] = [];
  now = Date.now;
  readonly options: AwsOptions;
  readonly #taken = new Map<string, number>();
  #second = 0;
  #spent = 0;

  constructor(options: AwsOptions) {
    this.options = options;
  }

  /** Adds a secret that was created long ago. */
  put(
    name: string,
    content: string | Content,
    tags: Readonly<Record<string, string>> = {},
    description = "",
  ): Stored {
    const stored = this.#add(
      name,
      typeof content === "string" ? { SecretString: content } : content,
      crypto.randomUUID(),
    );
    for (const [key, value] of Object.entries(tags)) stored.tags.set(key, value);
    return Object.assign(stored, { createdAt: 0, description });
  }

  /** A secret without a value, which CreateSecret makes where it is given none. */
  putEmpty(name: string, tags?: Readonly<Record<string, string>>, description?: string): Stored {
    return this.put(name, {}, tags, description);
  }

  contentOf(name: string): Content | undefined {
    const stored = this.#alive(name);
    return stored?.versions.get(stored.current);
  }

  async handle(request: Request): Promise<Response> {
    const what = (request.headers.get("x-amz-target") ?? "").replace("secretsmanager.", "");
    const text = await request.text();
    const logged: AwsSecrets["requests"][number] = { what, secret: undefined, status: 200 };
    this.requests.push(logged);
    const headers = {
      "content-type": "application/x-amz-json-1.1",
      "x-amzn-requestid": `request-${this.requests.length}`,
    };
    try {
      const key = this.#authenticate(request, text);
      const body = JSON.parse(text || "{}");
      this.#authorize(key, what, body.SecretId ?? body.Name);
      Object.assign(logged, { secret: body.SecretId ?? body.Name });
      this.#throttle(what);
      return new Response(JSON.stringify(this.#answer(what, body, key)), { headers });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      logged.status = error.type === "InternalServiceError" ? 500 : 400;
      return new Response(JSON.stringify({ __type: error.type, Message: error.message }), {
        status: logged.status,
        headers: { ...headers, "x-amzn-errortype": error.type },
      });
    }
  }

  /** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
  #authenticate(request: Request, body: string): Key {
    const { headers } = request;
    const match =
      /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/secretsmanager\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/
        .exec(headers.get("authorization") ?? "");
    if (match === null) throw new Refusal("MissingAuthenticationTokenException", "Missing Authentication Token");
    const [, id, day, region, signed, signature] = match as unknown as string[];
    const key = Object.hasOwn(this.options.keys, id!) ? this.options.keys[id!]! : undefined;
    const session = headers.get("x-amz-security-token") ?? undefined;
    if (key === undefined || region !== this.options.region || session !== key.session) {
      throw new Refusal("UnrecognizedClientException", "The security token included in the request is invalid.");
    }
    if (key.expired) {
      throw new Refusal("ExpiredTokenException", "The security token included in the request is expired");
    }
    const hash = (text: string) => createHash("sha256").update(text).digest("hex");
    const names = signed!.split(";");
    const canonical = [
      "POST",
      "/",
      "",
      ...names.map((name) => `${name}:${(headers.get(name) ?? "").trim().replace(/ +/g, " ")}`),
      "",
      signed,
      hash(body),
    ].join("\n");
    const date = headers.get("x-amz-date") ?? "";
    const scope = `${day}/${region}/secretsmanager/aws4_request`;
    const hmac = (by: string | Uint8Array, text: string) => createHmac("sha256", by).update(text).digest();
    const derived = [day!, region!, "secretsmanager", "aws4_request"].reduce<string | Uint8Array>(
      hmac,
      `AWS4${key.secret}`,
    );
    const wanted = hmac(derived, ["AWS4-HMAC-SHA256", date, scope, hash(canonical)].join("\n")).toString("hex");
    const isWhole = ["host", "x-amz-date", "x-amz-target"].every((name) => names.includes(name)) &&
      date.startsWith(day!);
    if (signature !== wanted || !isWhole) {
      throw new Refusal("InvalidSignatureException", "The request signature we calculated does not match");
    }
    return key;
  }

  /** https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html */
  #authorize({ denied = [], policy }: Key, what: string, secret: string | undefined): void {
    const resource = secret === undefined ? "*" : this.#alive(secret)?.arn ?? this.#arnOf(`${secret}-AbCdEf`);
    const isAllowed = policy?.Statement.some(({ Action, Resource }) =>
      Action.includes(`secretsmanager:${what}`) && globMatcher(Resource)(resource)
    );
    if (denied.includes(what) || isAllowed === false) {
      throw new Refusal("AccessDeniedException", `User is not authorized to perform: secretsmanager:${what}`);
    }
  }

  #arnOf(suffixed: string): string {
    return `arn:aws:secretsmanager:${this.options.region}:123456789012:secret:${suffixed}`;
  }

  #throttle(what: string): void {
    if (/GetSecretValue/.test(what)) return;
    const second = Math.floor(this.now() / 1000);
    if (second !== this.#second) [this.#second, this.#spent] = [second, 0];
    if (++this.#spent > (this.options.rate ?? Infinity)) throw new Refusal("ThrottlingException", "Rate exceeded");
  }

  #answer(what: string, body: Body, key: Key): unknown {
    switch (what) {
      case "CreateSecret":
        return this.#create(body);
      case "GetSecretValue":
        return this.#value(this.#usable(body.SecretId));
      case "BatchGetSecretValue":
        return this.#batch(body, key);
      case "ListSecrets":
        return this.#list(body);
      case "DescribeSecret":
        return this.#described(this.#find(body.SecretId));
      case "PutSecretValue": {
        const stored = this.#usable(body.SecretId);
        this.#version(stored, contentOf(body), body.ClientRequestToken);
        return { ARN: stored.arn, Name: stored.name, VersionId: stored.current };
      }
      case "UpdateSecret": {
        const stored = this.#usable(body.SecretId);
        const content = contentOf(body);
        if (hasContent(content)) this.#version(stored, content, body.ClientRequestToken);
        stored.description = body.Description ?? stored.description;
        return { ARN: stored.arn, Name: stored.name };
      }
      case "TagResource":
        tag(this.#usable(body.SecretId).tags, body.Tags);
        return {};
      case "UntagResource": {
        const { tags } = this.#usable(body.SecretId);
        for (const key of body.TagKeys) tags.delete(key);
        return {};
      }
      case "RestoreSecret": {
        const stored = this.#find(body.SecretId);
        delete stored.deletedAt;
        return { ARN: stored.arn, Name: stored.name };
      }
      case "DeleteSecret":
        return this.#delete(body);
    }
    throw new Refusal("UnknownOperationException", what);
  }

  #alive(idOrName: string): Stored | undefined {
    const name = idOrName.startsWith("arn:")
      ? idOrName.replace(/^.*:secret:/, "").replace(/-[A-Za-z0-9]{6}$/, "")
      : idOrName;
    const stored = this.secrets.get(name);
    if (stored?.deletedAt !== undefined && stored.deletedAt <= this.now()) this.secrets.delete(name);
    const found = this.secrets.get(name);
    return idOrName.startsWith("arn:") && found?.arn !== idOrName ? undefined : found;
  }

  #find(id: string): Stored {
    const stored = this.#alive(id);
    if (stored !== undefined) return stored;
    throw new Refusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret.");
  }

  #usable(id: string): Stored {
    const stored = this.#find(id);
    if (stored.deletedAt !== undefined) throw marked();
    return stored;
  }

  #create(body: Body): unknown {
    const { Name, Tags = [], ClientRequestToken, Description = "" } = body;
    if (!/^[\w/+=.@-]{1,512}$/.test(Name)) throw new Refusal("ValidationException", "Invalid name");
    const there = this.#alive(Name);
    if (there?.deletedAt !== undefined || (this.#taken.get(Name) ?? 0) > this.now()) {
      const why = "because a secret with this name is already scheduled for deletion.";
      throw new Refusal("InvalidRequestException", `You can't create this secret ${why}`);
    }
    const content = contentOf(body);
    if (there !== undefined) {
      const same = there.versions.get(ClientRequestToken);
      if (same === undefined || JSON.stringify(same) !== JSON.stringify(content)) {
        throw new Refusal("ResourceExistsException", `The operation failed because the secret ${Name} already exists.`);
      }
      return { ARN: there.arn, Name, VersionId: ClientRequestToken };
    }
    if (this.secrets.size >= (this.options.maxSecrets ?? Infinity)) {
      throw new Refusal("LimitExceededException", "You've exceeded the secrets quota for this account.");
    }
    const tags = tag(new Map(), Tags);
    const stored = this.#add(Name, content, ClientRequestToken);
    Object.assign(stored, { tags, description: Description });
    return { ARN: stored.arn, Name, VersionId: ClientRequestToken };
  }

  #add(name: string, content: Content, token: string): Stored {
    const letters = crypto.randomUUID().replaceAll("-", "").slice(0, 6);
    const stored: Stored = {
      arn: this.#arnOf(`${name}-${letters}`),
      name,
      versions: new Map(),
      current: "",
      tags: new Map(),
      description: "",
      createdAt: this.now(),
    };
    if (hasContent(content)) this.#version(stored, content, token);
    this.secrets.set(name, stored);
    return stored;
  }

  #version(stored: Stored, content: Content, token: unknown): void {
    if (typeof token !== "string" || token.length < 32 || token.length > 64) {
      throw new Refusal("InvalidParameterException", "ClientRequestToken is required, of 32 to 64 characters");
    }
    const there = stored.versions.get(token);
    if (there !== undefined && JSON.stringify(there) !== JSON.stringify(content)) {
      throw new Refusal("ResourceExistsException", "A version with this token exists already");
    }
    if (there !== undefined) return; // the same again changes nothing, also not which is current
    stored.versions.set(token, content);
    stored.current = token;
  }

  #value(stored: Stored) {
    const { arn, name, versions, current, createdAt } = stored;
    if (versions.size === 0) {
      const why = "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT";
      throw new Refusal("ResourceNotFoundException", why);
    }
    const rest = { VersionId: current, VersionStages: ["AWSCURRENT"], CreatedDate: createdAt / 1000 };
    return { ARN: arn, Name: name, ...versions.get(current), ...rest };
  }

  #batch({ SecretIdList, Filters, MaxResults = 20, NextToken }: Body, key: Key): unknown {
    if ((SecretIdList === undefined) === (Filters === undefined)) {
      throw new Refusal("InvalidParameterException", "Either SecretIdList or Filters");
    }
    if ((SecretIdList?.length ?? 0) > 20 || MaxResults > 20) {
      throw new Refusal("InvalidParameterException", "At most 20");
    }
    if (this.options.isBatchWhole ?? true) {
      const met = SecretIdList === undefined
        ? this.#matching(Filters, true)
        : (SecretIdList as string[]).flatMap((id) => this.#alive(id) ?? []).filter((one) =>
          one.deletedAt === undefined
        );
      for (const { arn } of met) this.#value(this.#usable(arn));
    }
    const Errors: unknown[] = [];
    if (SecretIdList === undefined) {
      const all = this.#matching(Filters, false);
      const from = Number(NextToken ?? 0);
      const next = from + MaxResults < all.length ? { NextToken: String(from + MaxResults) } : {};
      const page = all.slice(from, from + MaxResults).map(({ name }) => name);
      return { SecretValues: this.#values(page, Errors, key), Errors, ...next };
    }
    return { SecretValues: this.#values(SecretIdList, Errors, key), Errors };
  }

  #values(ids: readonly string[], errors: unknown[], key: Key) {
    return ids.flatMap((id) => {
      try {
        this.#authorize(key, "GetSecretValue", id);
        return [this.#value(this.#usable(id))];
      } catch (error) {
        errors.push({ SecretId: id, ErrorCode: (error as Refusal).type, Message: (error as Error).message });
        return [];
      }
    });
  }

  #matching(filters: { Key: string; Values: string[] }[] = [], isWithPlanned: boolean): Stored[] {
    const lag = this.options.lagMs ?? 0;
    return [...this.secrets.keys()].sort().flatMap((name) => this.#alive(name) ?? [])
      .filter(({ createdAt, deletedAt }) => createdAt + lag <= this.now() && (isWithPlanned || deletedAt === undefined))
      .filter(({ name, tags }) =>
        filters.every(({ Key, Values }) =>
          Values.some((value) => {
            if (Key === "name") return name.startsWith(value);
            if (Key === "tag-key") return [...tags.keys()].some((key) => key.startsWith(value));
            throw new Refusal("InvalidParameterException", `Unknown filter ${Key}`);
          })
        )
      );
  }

  #list({ Filters, MaxResults = 100, NextToken, IncludePlannedDeletion = false }: Body): unknown {
    const size = Math.min(MaxResults, this.options.pageSize ?? 100);
    const all = this.#matching(Filters, IncludePlannedDeletion);
    const from = Number(NextToken ?? 0);
    const next = from + size < all.length ? { NextToken: String(from + size) } : {};
    return { SecretList: all.slice(from, from + size).map((one) => this.#described(one)), ...next };
  }

  #described({ arn, name, tags, description, createdAt, deletedAt, current, versions }: Stored) {
    return {
      ARN: arn,
      Name: name,
      Tags: [...tags].map(([Key, Value]) => ({ Key, Value })),
      CreatedDate: createdAt / 1000,
      // When the deletion was asked for, in the real service as well.
      ...(deletedAt === undefined ? {} : { DeletedDate: this.now() / 1000 }),
      ...(description === "" ? {} : { Description: description }),
      ...(versions.size === 0 ? {} : { VersionIdsToStages: { [current]: ["AWSCURRENT"] } }),
    };
  }

  #delete({ SecretId, ForceDeleteWithoutRecovery = false, RecoveryWindowInDays }: Body): unknown {
    if (ForceDeleteWithoutRecovery && RecoveryWindowInDays !== undefined) {
      throw new Refusal("InvalidParameterException", "Force and a recovery window exclude each other");
    }
    if (ForceDeleteWithoutRecovery) {
      const stored = this.#alive(SecretId); // a missing one is no error here
      if (stored === undefined) return { ARN: SecretId, DeletionDate: this.now() / 1000 };
      this.secrets.delete(stored.name);
      this.#taken.set(stored.name, this.now() + (this.options.takenMs ?? 2_000));
      return { ARN: stored.arn, Name: stored.name, DeletionDate: this.now() / 1000 };
    }
    const days = RecoveryWindowInDays ?? 30;
    if (days < 7 || days > 30) throw new Refusal("InvalidParameterException", "The window must be 7 to 30 days");
    const stored = this.#usable(SecretId);
    stored.deletedAt = this.now() + days * 86_400_000;
    return { ARN: stored.arn, Name: stored.name, DeletionDate: stored.deletedAt / 1000 };
  }
}

function contentOf({ SecretString, SecretBinary }: Body): Content {
  if (SecretString !== undefined && SecretBinary !== undefined) {
    throw new Refusal("InvalidParameterException", "Not both");
  }
  if (SecretString === undefined && SecretBinary === undefined) return {};
  if (new TextEncoder().encode(SecretString ?? SecretBinary).length > 65_536) {
    throw new Refusal("ValidationException", "secretString must have length less than or equal to 65536");
  }
  return SecretString === undefined ? { SecretBinary } : { SecretString };
}

function hasContent(content: Content): boolean {
  return Object.keys(content).length > 0;
}

/**
 * Sets tags: 50 at most, none of AWS's own.
 * https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_TagResource.html
 */
function tag(tags: Map<string, string>, set: readonly { readonly Key: string; readonly Value: string }[]) {
  for (const { Key, Value } of set) {
    const isLegal = Key.length <= 128 && Value.length <= 256 &&
      [Key, Value].every((text) => /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u.test(text));
    if (!isLegal) throw new Refusal("InvalidParameterException", "Tag is invalid");
    if (/^aws:/i.test(Key)) throw new Refusal("InvalidParameterException", "aws: is reserved");
  }
  if (new Set([...tags.keys(), ...set.map(({ Key }) => Key)]).size > 50) {
    throw new Refusal("InvalidParameterException", "A secret has 50 tags at most");
  }
  for (const { Key, Value } of set) tags.set(Key, Value);
  return tags;
}

function marked(): Refusal {
  const why = "because it was marked for deletion.";
  return new Refusal("InvalidRequestException", `You can't perform this operation on the secret ${why}`);
}

/** Starts a server of its own. */
export async function startAws(options: AwsOptions): Promise<AwsSecrets & Served> {
  const aws = new AwsSecrets(options);
  return Object.assign(aws, await serve(() => aws));
}
