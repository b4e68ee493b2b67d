/**
 * Readers of env files that others wrote, as those install them: Next.js and Vite by npm, Docker Compose and the Docker
 * command line by Go, systemd's by its generator. Made once for a run of tests, where this machine can.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Project, run, type Runtime, temporaryProject } from "./runtime_helpers.ts";

/** Installed readers, by name; `directory` goes at the end. */
export interface Readers {
  readonly directory: Project;
  readonly next: Runtime;
  readonly vite: Runtime;
  readonly compose: Runtime;
  readonly docker: Runtime;
  readonly systemd: Runtime;
}

const PACKAGES = { "@next/env": "16.4.6", "vite": "8.4.0" };

/** Prints the variables of `.env.local` in a directory, as the framework has them for its server. */
const NEXT = `import next from "@next/env";
  const { combinedEnv } = next.loadEnvConfig(process.argv[2], true, { info() {}, error: console.error });
  console.log(JSON.stringify(combinedEnv));`;
const VITE = `import { loadEnv } from "vite";
  console.log(JSON.stringify(loadEnv("development", process.argv[2], "")));`;

const GO_MOD = `module readers
go 1.24
require (
	github.com/compose-spec/compose-go/v2 v2.9.1
	github.com/docker/cli v28.5.2+incompatible
)
`;
const GO = `package main
import (
	"encoding/json"
	"os"
	"strings"
	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/docker/cli/pkg/kvfile"
)
func main() {
	found := map[string]string{}
	var err error
	if os.Args[1] == "docker" {
		var lines []string
		lines, err = kvfile.Parse(os.Args[2], nil)
		for _, line := range lines {
			name, value, _ := strings.Cut(line, "=")
			found[name] = value
		}
	} else {
		found, err = dotenv.ReadFile(os.Args[2], nil)
	}
	if err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(found)
}
`;

const GENERATOR = "/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator";

/** Installs them; one that can't be had says why. */
export function installReaders(node: Runtime): Readers {
  const directory = temporaryProject({
    "package.json": JSON.stringify({ private: true, type: "module", dependencies: PACKAGES }),
    "next.mjs": NEXT,
    "vite.mjs": VITE,
    "go.mod": GO_MOD,
    "main.go": GO,
  });
  const why = (what: string, ...command: [string, ...string[]]): string | undefined => {
    const options = { cwd: directory.path, env: { GOFLAGS: "-mod=mod" }, timeoutMs: 300_000 };
    const { code, stderr } = run(command, options);
    return code === 0 ? undefined : `${what}: ${stderr.trim().split("\n").at(-1)}`;
  };
  const noPackages = why("npm can't install it", "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts");
  const noGo = why("go can't build it", "go", "build", "-o", "readers", ".");
  const script = (name: string): Runtime =>
    noPackages !== undefined
      ? { missing: noPackages }
      : "missing" in node
      ? node
      : { command: [...node.command, join(directory.path, name)] };
  const program = (mode: string): Runtime =>
    noGo === undefined ? { command: [join(directory.path, "readers"), mode] } : { missing: noGo };
  return {
    directory,
    next: script("next.mjs"),
    vite: script("vite.mjs"),
    compose: program("compose"),
    docker: program("docker"),
    systemd: existsSync(GENERATOR) ? { command: [GENERATOR] } : { missing: `there is no ${GENERATOR}` },
  };
}
