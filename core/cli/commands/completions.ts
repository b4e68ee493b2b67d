import { type CommandResult, type Invocation, usage } from "../command_line.ts";
import { didYouMean } from "../../text/did_you_mean.ts";
import type { CommandFile } from "../command_file.ts";

/** `completions <shell>` */
export const command: CommandFile = {
  order: 16,
  group: "project",
  summary: "print the Tab completion script of your shell",
  arguments: {
    labels: ["<shell>"],
    min: 1,
    max: 1,
    choices: { bash: "the script for bash", zsh: "the script for zsh", fish: "the script for fish" },
  },
  meanings: {
    "<shell>": "bash, zsh or fish",
  },
  example: "completions bash",
  without: ["yes"],
  options: {},
  about: [
    "Prints a script that completes commands, options, environments and other arguments on Tab. The script " +
    "asks this program each time, so it stays valid after an update. It sends nothing over the network.",
    'bash: put eval "$(forkstack completions bash)" into ~/.bashrc.',
    'zsh: put eval "$(forkstack completions zsh)" into ~/.zshrc, after compinit; or save it as _forkstack in ' +
    "a directory of fpath.",
    "fish: save it as ~/.config/fish/completions/forkstack.fish.",
    "It completes the command forkstack. If you only have Deno tasks, add this function before that line " +
    "(bash and zsh):",
    '  forkstack() { deno task -q "envs:$1" "${@:2}"; }',
  ],
  examples: [
    ["completions bash", "prints the script for bash"],
    ["completions fish", "prints the script for fish"],
  ],
  files: {
    ".forkstack/": "where the names of the environments are read",
  },
  seeAlso: ["list", "docs/getting-started.md"],
  task: { isOmitted: "always" },
  run: runCompletions,
};

/** The function hands the words to the program and its answer to the shell; nothing of either is ever evaluated. */
const SCRIPTS: Readonly<Record<string, string>> = {
  // Plain enough for the bash 3.2 of macOS, which has neither mapfile nor compopt.
  bash: `\
_forkstack() {
  local at line
  COMPREPLY=()
  for ((at = 1; at < COMP_CWORD; at++)); do
    [ "\${COMP_WORDS[at]}" = -- ] || continue
    if ((at + 1 < COMP_CWORD)); then
      compopt -o default 2>/dev/null
      return
    fi
    while IFS= read -r line; do
      COMPREPLY[\${#COMPREPLY[@]}]=$line
    done < <(compgen -c -- "\${COMP_WORDS[COMP_CWORD]}")
    return
  done
  while IFS=$'\\t' read -r line _; do
    [ -z "$line" ] || COMPREPLY[\${#COMPREPLY[@]}]=$line
  done < <(forkstack completions -- "\${COMP_WORDS[@]:1:COMP_CWORD}" </dev/null 2>/dev/null)
}
complete -F _forkstack forkstack`,
  zsh: `\
#compdef forkstack
_forkstack() {
  local line
  local -i at=\${words[(i)--]}
  local -a found before
  if ((at < CURRENT)); then
    words=("\${(@)words[at+1,-1]}")
    ((CURRENT -= at))
    _normal
    return
  fi
  ((CURRENT > 2)) && before=("\${(@Q)words[2,CURRENT-1]}")
  while IFS= read -r line; do
    [[ -z $line ]] || found+=("\${line/$'\\t'/:}")
  done < <(forkstack completions -- "\${(@)before}" "\${(Q)PREFIX}" </dev/null 2>/dev/null)
  _describe forkstack found
}
if [[ \${funcstack[1]} == _forkstack ]]; then
  _forkstack "$@"
else
  compdef _forkstack forkstack
fi`,
  fish: `\
function __forkstack_complete
    set -l words (commandline -opc)
    set -l begun (commandline -ct)
    set -e words[1]
    if set -l at (contains -i -- -- $words)
        set -e words[1..$at]
        complete -C (string join ' ' -- (string escape -- $words) "$begun")
        return
    end
    forkstack completions -- $words "$begun" </dev/null 2>/dev/null
end
complete -c forkstack -f -a '(__forkstack_complete)'`,
};

async function runCompletions({ name: shell = "" }: Invocation): Promise<CommandResult> {
  if (!Object.hasOwn(SCRIPTS, shell)) {
    const shells = Object.keys(SCRIPTS);
    const near = await didYouMean(shell, shells);
    throw usage(`Cannot print completions for "${shell}": unknown shell${near}`, `Use one of ${shells.join(", ")}`);
  }
  const script = SCRIPTS[shell];
  return { data: { shell, script }, text: () => script };
}
