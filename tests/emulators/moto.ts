/**
 * moto, AWS's services in memory, as a server on a free port. Its wheel on PyPI is `moto[s3]`, with Flask. It checks neither
 * signatures nor policies unless it is told to.
 *
 * - https://docs.getmoto.org/en/latest/docs/server_mode.html
 * - https://docs.getmoto.org/en/latest/docs/iam.html
 */
import { whyMissing } from "../tools.ts";
import { ProgramServer } from "./program_server.ts";

/** The reason for having no moto here; `undefined` if there is one. */
export const WHY_NO_MOTO: string | undefined = whyMissing("moto_server");

/** Its arguments, for a port. */
export function motoArgs(port: number): string[] {
  return ["-H", "127.0.0.1", "-p", `${port}`];
}

/** An access key. */
export interface MotoKey {
  readonly id: string;
  readonly secret: string;
}

/** A running server; `await using` ends it. */
export class Moto implements AsyncDisposable {
  readonly #server: ProgramServer;

  private constructor(server: ProgramServer) {
    this.#server = server;
  }

  static async start(): Promise<Moto> {
    return new Moto(await ProgramServer.start("moto_server", motoArgs, (url) => sent(`${url}/moto-api/reset`)));
  }

  get url(): string {
    return this.#server.url;
  }

  /** Removes all that it holds. */
  async reset(): Promise<void> {
    await sent(`${this.url}/moto-api/reset`);
  }

  /** Has each request checked from now on, or none. */
  async check(isChecked: boolean): Promise<void> {
    await sent(`${this.url}/moto-api/reset-auth`, isChecked ? "0" : "inf");
  }

  /** Sends a command of a service that speaks AWS's JSON protocol, as nobody in particular. */
  // deno-lint-ignore no-explicit-any -- each answer is read where it is known
  async ask(service: string, region: string, operation: string, input: unknown): Promise<any> {
    const response = await sent(this.url, JSON.stringify(input), {
      authorization: authorization(region, service),
      "content-type": "application/x-amz-json-1.1",
      "x-amz-target": `${service}.${operation}`,
    });
    if (!response.ok) throw new Error(`${operation}: ${response.status} ${response.text}`);
    return JSON.parse(response.text);
  }

  /** Makes an access key of a new user with this policy alone. It must not check requests meanwhile. */
  async keyOf(policy: unknown): Promise<MotoKey> {
    const UserName = `user-${crypto.randomUUID()}`;
    const iam = async (Action: string, more: Readonly<Record<string, string>> = {}) => {
      const form = new URLSearchParams({ Action, UserName, Version: "2010-05-08", ...more });
      const headers = {
        authorization: authorization("us-east-1", "iam"),
        "content-type": "application/x-www-form-urlencoded",
      };
      const { ok, text } = await sent(this.url, form.toString(), headers);
      if (!ok) throw new Error(`${Action}: ${text}`);
      return text;
    };
    await iam("CreateUser");
    await iam("PutUserPolicy", { PolicyName: "its", PolicyDocument: JSON.stringify(policy) });
    const text = await iam("CreateAccessKey");
    const [, id = ""] = /<AccessKeyId>(.+?)</.exec(text) ?? [];
    const [, secret = ""] = /<SecretAccessKey>(.+?)</.exec(text) ?? [];
    return { id, secret };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#server[Symbol.asyncDispose]();
  }
}

/** By the scope in this header moto tells which service is meant. */
function authorization(region: string, service: string): string {
  const scope = `20260101/${region}/${service}/aws4_request`;
  return `AWS4-HMAC-SHA256 Credential=nobody/${scope}, SignedHeaders=host, Signature=0`;
}

async function sent(url: string, body = "", headers: Readonly<Record<string, string>> = {}) {
  const response = await fetch(url, { method: "POST", body, headers: { "content-type": "text/plain", ...headers } });
  return { ok: response.ok, status: response.status, text: await response.text() };
}
