package forkstack

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
)

type question struct {
	Is, Cwd, Ask, Text string
	Asks               []string
	Process            map[string]string
}

var kindOf = map[string]string{
	"DATABASE_URL": "database", "DATABASE_AUTH_TOKEN": "database", "BUCKET_NAME": "storage", "AWS_REGION": "storage",
	"CACHE_URL": "cache",
}

// TestAnswers answers the questions in the file that FORKSTACK_QUESTIONS names: tests/languages/go_test.ts asks them.
func TestAnswers(t *testing.T) {
	path := os.Getenv("FORKSTACK_QUESTIONS")
	if path == "" {
		t.Skip("nobody asks")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var questions []question
	if err := json.Unmarshal(text, &questions); err != nil {
		t.Fatal(err)
	}
	answers := make([]any, len(questions))
	for at, one := range questions {
		answers[at] = answerTo(one)
	}
	said, err := json.Marshal(answers)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".said", said, 0o600); err != nil {
		t.Fatal(err)
	}
}

func told[T any](value T, err error) any {
	if err == nil {
		return value
	}
	var known *Error
	if !errors.As(err, &known) || known.Hint == "" {
		return err.Error()
	}
	return map[string]string{"error": known.Code}
}

func orNull(value string, err error) any {
	if value == "" && err == nil {
		return nil
	}
	return told(value, err)
}

func answerTo(one question) any {
	switch one.Is {
	case "env file":
		all := [][2]string{}
		for key, value := range readEnvFile(one.Text, "x") {
			text := value.text
			if value.err != nil {
				text = value.err.(*Error).Message
			}
			all = append(all, [2]string{key, text})
		}
		return all
	case "block":
		found, err := findEnvBlock(one.Text, "x")
		if err != nil || found == nil {
			return told[any](nil, err)
		}
		return map[string]any{"own": found.own, "directory": found.directory}
	}
	environ := func(name string) (string, bool) { value, is := one.Process[name]; return value, is }
	stack, err := Open(Options{Dir: one.Cwd, Environ: environ})
	if err != nil {
		return told("", err)
	}
	env, err := stack.CurrentEnv()
	if one.Is == "vector" {
		if err != nil {
			return told("", err)
		}
		if one.Ask == "env" {
			return map[string]string{"env": env}
		}
		value, err := stack.Variable(one.Ask)
		if err != nil {
			return told("", err)
		}
		return map[string]string{"env": env, "value": value}
	}
	all := []any{told(env, err)}
	for _, ask := range one.Asks {
		name, resource, isNamed := strings.Cut(ask, " ")
		switch {
		case name == "secret":
			all = append(all, told(stack.GetSecret(resource)))
		case name == "variable":
			all = append(all, told(stack.Variable(resource)))
		case isNamed:
			all = append(all, orNull(stack.Optional(kindOf[name], name, resource)))
		default:
			all = append(all, orNull(stack.Optional(kindOf[name], name)))
		}
	}
	return all
}
