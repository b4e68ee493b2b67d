"""Answers of the Python reader to questions on stdin, as JSON: one answer, or the code of an error, for each."""

import json
import sys

import forkstack

KINDS = {
    "DATABASE_URL": "database",
    "DATABASE_AUTH_TOKEN": "database",
    "BUCKET_NAME": "storage",
    "AWS_REGION": "storage",
    "CACHE_URL": "cache",
}


def value_of(stack, ask):
    name, _, resource = ask.partition(" ")
    if name in ("secret", "variable"):
        return getattr(stack, name)(resource)
    return stack.optional_of(KINDS[name], name, resource or None)


def told(work):
    try:
        return work()
    except forkstack.ForkstackError as error:
        return {"error": error.code} if error.hint else "an error without a hint"


def vector(question):
    stack = forkstack.open_stack(question["cwd"], question["process"])
    env = stack.current()
    if question["ask"] == "env":
        return {"env": env}
    return {"env": env, "value": stack.variable(question["ask"])}


def world(question):
    def all_values():
        stack = forkstack.open_stack(question["cwd"], question["process"])
        return [told(stack.current), *(told(lambda: value_of(stack, ask)) for ask in question["asks"])]

    return told(all_values)


def env_file(question):
    values = forkstack._read_env_file(question["text"], "x").items()
    return [[key, str(value.args[0]) if isinstance(value, forkstack.ForkstackError) else value] for key, value in values]


def block(question):
    found = told(lambda: forkstack._find_env_block(question["text"], "x"))
    return found if found is None or isinstance(found, dict) else {"own": found[2], "directory": found[3]}


ANSWERS = {"vector": vector, "world": world, "env file": env_file, "block": block}
print(json.dumps([told(lambda: ANSWERS[one["is"]](one)) for one in json.load(sys.stdin)]))
