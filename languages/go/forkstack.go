// Package forkstack reads the current environment of forkstack: the names and values of its database, bucket, secrets,
// cache, queue and local directory. It is one file without dependencies, which may be copied; nothing is done on import.
//
//	url, err := forkstack.DatabaseURL()
//
// A getter returns a value of the current environment or an error; it never returns another environment's value. The
// rules are those of mod.ts, and the vectors in tests/vectors are passed by both.
package forkstack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// ---- getters

// CurrentEnv is the current environment: FORKSTACK_ENV, then ENV unless it holds a "/", then .current-env, then "dev",
// but in a linked git worktree. The error is ErrNameInvalid if that is not a legal name, ErrEnvUnset in a linked git
// worktree that points to none, ErrEnvUnknown if it was never made here or was deleted, and ErrEnvConflict if files or
// variables contradict each other.
func CurrentEnv() (string, error) {
	return with(func(s *Stack) (string, error) { return s.CurrentEnv() })
}

// ProjectName is the project's name, from forkstack.json or FORKSTACK_PROJECT.
func ProjectName() (string, error) {
	return with(func(s *Stack) (string, error) { return s.ProjectName() })
}

// DatabaseURL is the database's URL, e.g. "file:///app/.forkstack/sqlite/shop-alice.db". Here and below, `name` is that
// of a resource where forkstack.json has several of a kind.
func DatabaseURL(name ...string) (string, error) { return of("database", "DATABASE_URL", name) }

// DatabasePath is the file of an SQLite database.
func DatabasePath(name ...string) (string, error) { return of("database", "DATABASE_PATH", name) }

// DatabaseAuthToken is the database's token; "" if its provider has none.
func DatabaseAuthToken(name ...string) (string, error) {
	return with(func(s *Stack) (string, error) { return s.Optional("database", "DATABASE_AUTH_TOKEN", name...) })
}

// DatabaseDSN is the database's address as a driver of database/sql takes it: "sqlite" (modernc.org/sqlite), "sqlite3"
// (mattn/go-sqlite3), "libsql" (tursodatabase), "pgx" (jackc/pgx), "postgres" (lib/pq) or "mysql" (go-sql-driver/mysql).
func DatabaseDSN(driver string, name ...string) (string, error) {
	return with(func(s *Stack) (string, error) { return s.DatabaseDSN(driver, name...) })
}

// BucketName is the bucket's name, e.g. "shop-bucket-alice".
func BucketName(name ...string) (string, error) { return of("storage", "BUCKET_NAME", name) }

// BucketPath is the bucket's directory, if its provider is local.
func BucketPath(name ...string) (string, error) { return of("storage", "BUCKET_PATH", name) }

// StorageConfig holds the settings of an S3 client; those that the provider does not give are empty.
func StorageConfig(name ...string) (Storage, error) {
	return with(func(s *Stack) (Storage, error) { return s.StorageConfig(name...) })
}

// CacheURL is the cache's URL, e.g. "rediss://...".
func CacheURL(name ...string) (string, error) { return of("cache", "CACHE_URL", name) }

// QueueURL is the queue's URL.
func QueueURL(name ...string) (string, error) { return of("queue", "QUEUE_URL", name) }

// QueuePrefix is the beginning of every queue name of this environment.
func QueuePrefix(name ...string) (string, error) { return of("queue", "QUEUE_PREFIX", name) }

// LocalDir is the directory for databases in files; the first call makes it if it can.
func LocalDir(name ...string) (string, error) {
	return with(func(s *Stack) (string, error) { return s.LocalDir(name...) })
}

// Variable is any variable of the current environment by its full name, e.g. "UPLOADS_BUCKET_NAME", or one of
// `variables` in forkstack.json.
func Variable(name string) (string, error) {
	return with(func(s *Stack) (string, error) { return s.Variable(name) })
}

// GetSecret is one secret: in a deployment from the process environment; else from the environment's file, then from the
// provider, which is asked for all of them at once, and again after five minutes. Where nobody has it, the error is
// ErrSecretMissing.
func GetSecret(key string) (string, error) {
	return with(func(s *Stack) (string, error) { return s.GetSecret(key) })
}

// AllSecrets holds the secrets that the provider has for the current environment.
func AllSecrets() (map[string]string, error) {
	return with(func(s *Stack) (map[string]string, error) { return s.AllSecrets() })
}

// SetSecret sets a secret at the provider, through the command line.
func SetSecret(key, value string) error {
	_, err := with(func(s *Stack) (string, error) { return "", s.SetSecret(key, value) })
	return err
}

// Load puts the variables of the current environment into the process's own, for libraries that read it themselves.
func Load() error {
	_, err := with(func(s *Stack) (string, error) { return "", s.Load() })
	return err
}

// Storage holds the settings of an S3 client.
type Storage struct {
	Bucket, Endpoint, Region, AccessKeyID, SecretAccessKey, SessionToken string
	Path                                                                 string // the bucket's directory, if it is local
}

// own opens the process's own stack once.
var own = sync.OnceValues(func() (*Stack, error) { return Open(Options{}) })

func with[T any](work func(*Stack) (T, error)) (T, error) {
	stack, err := own()
	if err != nil {
		var none T
		return none, err
	}
	return work(stack)
}

func of(kind, variable string, name []string) (string, error) {
	return with(func(s *Stack) (string, error) { return s.Of(kind, variable, name...) })
}

// ---- errors

// Error is the one type of error. Code is stable: compare it by errors.Is with the variables below; docs/errors.md lists
// all. Hint is the next step.
type Error struct {
	Code, Message, Hint string
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return fmt.Sprintf("forkstack: %s (%s)", e.Message, e.Code)
	}
	return fmt.Sprintf("forkstack: %s (%s); %s", e.Message, e.Code, e.Hint)
}

// Is tells whether two errors have the same code.
func (e *Error) Is(target error) bool {
	other, is := target.(*Error)
	return is && other.Code == e.Code
}

// Errors to compare with by errors.Is.
var (
	ErrNameInvalid     = &Error{Code: "NAME_INVALID"}
	ErrConfigInvalid   = &Error{Code: "CONFIG_INVALID"}
	ErrConfigMissing   = &Error{Code: "CONFIG_MISSING"}
	ErrEnvConflict     = &Error{Code: "ENV_CONFLICT"}
	ErrEnvUnknown      = &Error{Code: "ENV_UNKNOWN"}
	ErrEnvUnset        = &Error{Code: "ENV_UNSET"}
	ErrValueInvalid    = &Error{Code: "VALUE_INVALID"}
	ErrValueMissing    = &Error{Code: "VALUE_MISSING"}
	ErrValueUnreadable = &Error{Code: "VALUE_UNREADABLE"}
	ErrSecretMissing   = &Error{Code: "SECRET_MISSING"}
	ErrProviderMissing = &Error{Code: "PROVIDER_MISSING"}
	ErrNotPermitted    = &Error{Code: "NOT_PERMITTED"}
	ErrFileUnreadable  = &Error{Code: "FILE_UNREADABLE"}
)

func unusable(code, what, state, hint string) error {
	return &Error{code, fmt.Sprintf("Cannot use %s: %s", what, state), hint}
}

// ---- the stack of a directory

// Options of Open. The zero value is the process's own directory and environment.
type Options struct {
	Dir     string                      // the directory from which forkstack.json is searched upwards
	Environ func(string) (string, bool) // reads one variable of the process environment
}

// Stack holds one environment's values; its methods are the functions of the same names.
type Stack struct {
	dir, root    string // root: of `.current-env`
	config       *config
	environ      func(string) (string, bool)
	facts        facts
	env          *string
	mu           sync.Mutex
	files        *written
	secrets      map[string]string
	secretsUntil time.Time
}

const secretsMaxAge = 5 * time.Minute

// Open opens the stack of a directory other than the process's own, or under other variables.
func Open(options Options) (*Stack, error) {
	s := &Stack{dir: options.Dir, environ: options.Environ}
	if s.environ == nil {
		s.environ = os.LookupEnv
	}
	if s.dir == "" {
		var err error
		if s.dir, err = os.Getwd(); err != nil {
			return nil, &Error{"FILE_UNREADABLE", "Cannot read the working directory: " + err.Error(), "Check that it exists"}
		}
	}
	s.dir = withoutEnd(s.dir)
	env, deployment := s.raw("FORKSTACK_ENV"), s.raw("ENV")
	place, err := findProject(s.dir)
	if err != nil && env == nil && deploymentOf(deployment) == nil {
		return nil, err // a deployment needs no files: its process environment holds it all
	}
	if place != nil {
		s.root = place.root
		if place.configRoot != "" {
			if s.config, err = readConfig(place.configRoot, s.dir); err != nil {
				return nil, err
			}
		}
	}
	pointer, err := s.text(".current-env")
	if err != nil {
		return nil, err
	}
	run, _, _ := strings.Cut(s.variable("FORKSTACK_RUN"), " ")
	s.facts = facts{
		Process: processFacts{Env: env, Deployment: deployment, Project: optional(s.variable("FORKSTACK_PROJECT")), Run: run},
		Pointer: pointer,
	}
	if s.config != nil {
		s.facts.Project = &s.config.project
	}
	s.facts.IsLinkedWorktree = place != nil && place.isLinked
	found, err := decide(&s.facts)
	if err != nil {
		return nil, err
	}
	s.env = found.env
	return s, nil
}

// CurrentEnv is the current environment, if the guard agrees.
func (s *Stack) CurrentEnv() (string, error) {
	files, err := s.written()
	if err != nil {
		return "", err
	}
	told, err := guard(&files.facts, "", candidates{})
	return told.env, err
}

// ProjectName is the project's name.
func (s *Stack) ProjectName() (string, error) {
	if s.facts.Project != nil {
		return *s.facts.Project, nil
	}
	if s.facts.Process.Project != nil {
		return *s.facts.Process.Project, nil
	}
	files, err := s.written()
	if err != nil {
		return "", err
	}
	if name := textIn(files.own, "FORKSTACK_PROJECT"); name != nil {
		return *name, nil
	}
	hint := `Create forkstack.json with {"project": "myapp"}, or set FORKSTACK_PROJECT`
	return "", &Error{"CONFIG_MISSING", "Cannot name the project: no forkstack.json was found", hint}
}

// Of is a variable of one resource, e.g. Of("storage", "BUCKET_NAME", "uploads"); ErrValueMissing without one.
func (s *Stack) Of(kind, variable string, name ...string) (string, error) {
	full, err := s.named(kind, variable, name)
	if err != nil {
		return "", err
	}
	return s.Variable(full)
}

// Optional is a variable of one resource; "" if nothing gives a value.
func (s *Stack) Optional(kind, variable string, name ...string) (string, error) {
	full, err := s.named(kind, variable, name)
	if err != nil {
		return "", err
	}
	value, err := s.find(full, nil)
	if value == nil {
		return "", err
	}
	return *value, err
}

// Variable is any variable of this environment by its full name.
func (s *Stack) Variable(name string) (string, error) {
	value, err := s.find(name, nil)
	if err != nil {
		return "", err
	}
	if value != nil {
		return *value, nil
	}
	env := "dev"
	if s.env != nil {
		env = *s.env
	}
	hint := fmt.Sprintf("Run `forkstack switch %s`; in a deployment set the variable beside FORKSTACK_ENV", env)
	return "", guardError("VALUE_MISSING", &s.facts, "read "+name, "nothing gives a value", hint)
}

// StorageConfig holds the settings of an S3 client.
func (s *Stack) StorageConfig(name ...string) (Storage, error) {
	var found Storage
	fields := []struct {
		to       *string
		variable string
	}{
		{&found.Endpoint, "AWS_ENDPOINT_URL_S3"},
		{&found.Region, "AWS_REGION"},
		{&found.AccessKeyID, "AWS_ACCESS_KEY_ID"},
		{&found.SecretAccessKey, "AWS_SECRET_ACCESS_KEY"},
		{&found.SessionToken, "AWS_SESSION_TOKEN"},
		{&found.Path, "BUCKET_PATH"},
	}
	var err error
	if found.Bucket, err = s.Of("storage", "BUCKET_NAME", name...); err != nil {
		return Storage{}, err
	}
	for _, field := range fields {
		if *field.to, err = s.Optional("storage", field.variable, name...); err != nil {
			return Storage{}, err
		}
	}
	return found, nil
}

// LocalDir is the directory for databases in files.
func (s *Stack) LocalDir(name ...string) (string, error) {
	path, err := s.Of("local", "LOCAL_PATH", name...)
	if err != nil {
		return "", err
	}
	full, _ := s.named("local", "LOCAL_PATH", name)
	if files, err := s.written(); err == nil && files.places[full] == path {
		_ = os.Mkdir(path, 0o700) // it is there, or whoever writes there is told
	}
	return path, nil
}

// DatabaseDSN is the database's address as a driver takes it; see the function of this name.
func (s *Stack) DatabaseDSN(driver string, name ...string) (string, error) {
	address, err := s.Of("database", "DATABASE_URL", name...)
	if err != nil {
		return "", err
	}
	scheme, _, _ := strings.Cut(address, ":")
	wanted := map[string]string{
		"sqlite": "file", "sqlite3": "file", "pgx": "postgres", "postgres": "postgres", "libsql": "libsql", "mysql": "mysql",
	}
	same := map[string]string{"postgresql": "postgres", "mariadb": "mysql", "http": "libsql", "https": "libsql"}
	is := scheme
	if other, isOther := same[scheme]; isOther {
		is = other
	}
	switch {
	case wanted[driver] == "":
		return "", fmt.Errorf("forkstack: there is no form for the driver %q", driver)
	case driver == "libsql" && is == "file":
		return address, nil
	case wanted[driver] != is:
		return "", unusable("VALUE_INVALID", "DATABASE_URL by "+driver, "it is of "+scheme, "Use the driver of that database")
	case driver == "libsql":
		token, err := s.Optional("database", "DATABASE_AUTH_TOKEN", name...)
		if err != nil || token == "" {
			return address, err
		}
		separator := "?"
		if strings.Contains(address, "?") {
			separator = "&"
		}
		return address + separator + "authToken=" + url.QueryEscape(token), nil
	case driver == "mysql":
		return mysqlDSN(address)
	}
	return address, nil // both SQLite drivers take a `file:` URI, and both PostgreSQL ones a URL
}

// https://github.com/go-sql-driver/mysql#dsn-data-source-name
func mysqlDSN(address string) (string, error) {
	parts, err := url.Parse(address)
	if err != nil {
		return "", unusable("VALUE_INVALID", "DATABASE_URL", "it is no URL", "Run `forkstack doctor`")
	}
	password, _ := parts.User.Password()
	host := parts.Host
	if parts.Port() == "" {
		host += ":3306"
	}
	dsn := fmt.Sprintf("%s:%s@tcp(%s)/%s", parts.User.Username(), password, host, url.PathEscape(strings.TrimPrefix(parts.Path, "/")))
	if parts.RawQuery == "" {
		return dsn, nil
	}
	return dsn + "?" + parts.RawQuery, nil
}

// GetSecret is one secret.
func (s *Stack) GetSecret(key string) (string, error) {
	if _, err := s.CurrentEnv(); err != nil { // first: the secrets of an environment in doubt are asked of nobody
		return "", err
	}
	files, err := s.written()
	if err != nil {
		return "", err
	}
	_, isThere := files.own[key]
	// A value of the process may agree with the provider's alone.
	if told, err := s.guarded(key, nil); err == nil && told.from == "process" {
		isThere = true
	}
	var provided *string
	if !isThere {
		all, err := s.provided()
		if err != nil {
			return "", err
		}
		if value, has := all[key]; has {
			provided = &value
		}
	}
	value, err := s.find(key, provided)
	if err != nil || (value != nil && *value != "") { // an empty one counts as unset, as a variable does
		return textOf(value), err
	}
	hint := fmt.Sprintf("Set it with `forkstack secrets set %s`", key)
	return "", guardError("SECRET_MISSING", &s.facts, fmt.Sprintf("read secret %q", key), "it is not set", hint)
}

// AllSecrets holds the secrets that the provider has.
func (s *Stack) AllSecrets() (map[string]string, error) {
	if _, err := s.CurrentEnv(); err != nil {
		return nil, err
	}
	all, err := s.provided()
	if err != nil {
		return nil, err
	}
	found := make(map[string]string, len(all))
	for key, value := range all {
		told, err := s.find(key, &value)
		if err != nil {
			return nil, err
		}
		found[key] = textOf(told)
	}
	return found, nil
}

var secretKey = pattern(`^[A-Za-z_][A-Za-z0-9_]*$`)

// SetSecret sets one secret.
func (s *Stack) SetSecret(key, value string) error {
	if !secretKey().MatchString(key) {
		return fmt.Errorf("forkstack: a secret's key must be like \"API_KEY\", not %q", key)
	}
	env, err := s.CurrentEnv()
	if err != nil {
		return err
	}
	one, err := s.resource("secrets", nil)
	if err != nil {
		return err
	}
	if one == nil {
		hint := `Add "secrets": {"provider": "env-file"} to forkstack.json`
		return &Error{"CONFIG_MISSING", "Cannot set a secret: no forkstack.json declares where", hint}
	}
	s.mu.Lock()
	s.secretsUntil = time.Time{}
	s.mu.Unlock()
	// One end of a line is the shell's.
	_, err = s.command("set a secret", value+"\r\n", "secrets", "set", key, env, "--yes")
	return err
}

// Load puts the variables into the process's own environment.
func (s *Stack) Load() error {
	if _, err := s.CurrentEnv(); err != nil {
		return err
	}
	files, err := s.written()
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for name := range files.own {
		names[name] = true
	}
	for name := range files.places {
		names[name] = true
	}
	for name := range s.templates() {
		names[name] = true
	}
	values := map[string]string{}
	for name := range names {
		if strings.HasPrefix(name, "FORKSTACK_") {
			continue
		}
		value, err := s.find(name, nil)
		if err != nil {
			return err
		}
		if value != nil {
			values[name] = *value
		}
	}
	for name, value := range values {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stack) named(kind, variable string, name []string) (string, error) {
	one, err := s.resource(kind, name)
	if err != nil || one == nil {
		return variable, err
	}
	return variablePrefix(one.name) + variable, nil
}

// resource is the one of a kind that is meant, or an error that names the choices.
func (s *Stack) resource(kind string, name []string) (*declared, error) {
	if s.config == nil {
		if len(name) == 0 {
			return nil, nil
		}
		return &declared{kind: kind, name: name[0]}, nil
	}
	all, err := declaredResources(s.config.entries)
	if err != nil {
		return nil, err
	}
	var found, ofKind []declared
	var choices []string
	for _, one := range all {
		if one.kind != kind {
			continue
		}
		ofKind = append(ofKind, one)
		choices = append(choices, fmt.Sprintf("%q", one.name))
		if len(name) == 0 || one.name == name[0] {
			found = append(found, one)
		}
	}
	switch {
	case len(found) == 1:
		return &found[0], nil
	case len(name) == 0 && len(ofKind) == 0:
		return nil, nil
	case len(name) == 0:
		return nil, fmt.Errorf("forkstack: there is more than one %s: name one of %s", kind, strings.Join(choices, ", "))
	}
	return nil, fmt.Errorf("forkstack: forkstack.json has no %s %q, but %s", kind, name[0], strings.Join(choices, ", "))
}

func (s *Stack) find(name string, provided *string) (*string, error) {
	told, err := s.guarded(name, provided)
	if err != nil || told.value == nil {
		return nil, err
	}
	if told.from == "derived" {
		files, _ := s.written()
		path := name
		if prefix, isURL := strings.CutSuffix(name, "DATABASE_URL"); isURL {
			path = prefix + "DATABASE_PATH"
		}
		if place, isPlace := files.places[path]; isPlace {
			if err := assertState(files.state, place, s.dir); err != nil {
				return nil, err
			}
		}
	}
	if told.value.err != nil {
		return nil, told.value.err
	}
	return &told.value.text, nil
}

func (s *Stack) guarded(name string, provided *string) (guarded, error) {
	files, err := s.written()
	if err != nil {
		return guarded{}, err
	}
	given := candidates{process: optional(s.variable(name)), block: files.block[name], file: files.own[name]}
	if given.process == nil {
		given.process = s.pathInProcess(name)
	}
	template, isShaped := s.templates()[name]
	if place, is := files.places[name]; isShaped {
		given.isPlace = true
		if given.derived, err = s.filled(template); err != nil {
			return guarded{}, err
		}
	} else if is {
		given.derived, given.isPlace = &place, true
	} else {
		given.derived = s.bucketName(name)
	}
	if vouched := strings.Split(s.variable("FORKSTACK_RUN"), " "); contains(vouched[1:], name) {
		given.isVouched = true
	}
	if provided != nil {
		given.provided = &value{text: *provided}
	}
	isGiven, err := s.isGiven(name)
	if err != nil {
		return guarded{}, err
	}
	if !isGiven && !isShaped {
		given.person = files.person[name]
	}
	return guard(&files.facts, name, given)
}

var fileScheme = pattern(`^file:([^?#]+)`)

// pathInProcess is the file in the database's URL that a process has, as that of a deployment may alone.
func (s *Stack) pathInProcess(name string) *string {
	prefix, isPath := strings.CutSuffix(name, "DATABASE_PATH")
	if !isPath {
		return nil
	}
	found := fileScheme().FindStringSubmatch(s.variable(prefix + "DATABASE_URL"))
	if found == nil {
		return nil
	}
	path := found[1]
	for _, host := range []string{"//localhost/", "///"} {
		if rest, is := strings.CutPrefix(path, host); is {
			path = "/" + rest
		}
	}
	if path, err := url.PathUnescape(path); err == nil {
		if len(path) > 2 && path[0] == '/' && path[2] == ':' {
			path = path[1:]
		}
		return &path
	}
	return nil
}

// templates of `variables` in forkstack.json, by the variable that each shapes.
func (s *Stack) templates() map[string]string {
	found := map[string]string{}
	if s.config == nil {
		return found
	}
	all, _ := s.config.entries["variables"].(map[string]any)
	for name, one := range all {
		if template, is := one.(string); is {
			found[name] = template
		}
	}
	return found
}

var (
	templatePart = pattern(`\{\{|\}\}|\{([A-Za-z_]\w*)(?:\|(\w+))?\}|[{}]`)
	urlScheme    = pattern(`^[A-Za-z][A-Za-z0-9+.-]*://`)
)

var templateForms = map[string]func(string) string{
	"":     func(value string) string { return value },
	"url":  func(path string) string { return strings.TrimPrefix(fileURL(path), "file://") },
	"rest": func(address string) string { return urlScheme().ReplaceAllString(address, "") },
}

// filled is a template with values in place of its placeholders; nil if one is missing.
func (s *Stack) filled(template string) (*string, error) {
	isWhole, failed := true, error(nil)
	text := templatePart().ReplaceAllStringFunc(template, func(part string) string {
		found := templatePart().FindStringSubmatch(part)
		if found[1] == "" {
			return part[:1]
		}
		value, err := s.placeholder(found[1])
		if err != nil && failed == nil {
			failed = err
		}
		shape, isKnown := templateForms[found[2]]
		if value == nil || !isKnown {
			isWhole = false
			return ""
		}
		return shape(*value)
	})
	if failed != nil || !isWhole {
		return nil, failed
	}
	return &text, nil
}

func (s *Stack) placeholder(name string) (*string, error) {
	switch name {
	case "FORKSTACK_ENV":
		env, err := s.CurrentEnv()
		return &env, err
	case "FORKSTACK_PROJECT":
		project, err := s.ProjectName()
		return &project, err
	}
	if _, isShaped := s.templates()[name]; isShaped {
		return nil, nil
	}
	return s.find(name, nil)
}

// written holds the variables in the files of this environment and a person, those that are derived, and the facts that
// follow.
type written struct {
	own, block, person values
	places             map[string]string
	state              string
	facts              facts
}

func (s *Stack) written() (*written, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files != nil {
		return s.files, nil
	}
	files, err := s.readFiles()
	if err == nil {
		s.files = files
	}
	return files, err
}

func (s *Stack) readFiles() (*written, error) {
	entries := map[string]any{}
	if s.config != nil {
		entries = s.config.entries
	}
	envFile, err := envFileOf(entries)
	if err != nil {
		return nil, err
	}
	found := &written{}
	shared := ""
	if envFile != "" {
		text, err := s.text(envFile)
		if err != nil {
			return nil, err
		}
		shared = textOf(text)
	}
	name := envFile
	if name == "" {
		name = ".env.local"
	}
	block, person, directory, err := readSharedFile(shared, name)
	if err != nil {
		return nil, err
	}
	found.block, found.person = block, person
	if s.root != "" {
		if found.state, err = s.stateOf(s.root); err != nil {
			return nil, err
		}
	}
	if s.root != "" && s.env != nil {
		path, err := s.statePath(found.state, "envs", *s.env+".env")
		if err != nil {
			return nil, err
		}
		text, err := readText(path)
		if err != nil {
			return nil, err
		}
		if text != nil {
			found.own = readEnvFile(*text, strconv.Quote(path))
		}
	}
	hasState := sync.OnceValues(func() (bool, error) { return s.findsState(found) })
	found.facts = s.facts
	found.facts.EnvFile = envFile
	found.facts.Block, found.facts.File = saidBy(block), saidBy(found.own)
	found.facts.Person = personFacts{textIn(person, "FORKSTACK_ENV"), textIn(person, "ENV")}
	found.facts.hasState = hasState
	if directory != nil && *directory != s.root && s.facts.Pointer != nil {
		isStateHere, err := hasState()
		if err != nil {
			return nil, err
		}
		found.facts.IsPointerCopied = s.isCopied(*directory, found.state, isStateHere)
	}
	if s.config != nil && s.env != nil {
		if found.places, err = derivedVariables(s.config, found.state, *s.env, s.root); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (s *Stack) findsState(found *written) (bool, error) {
	if s.root == "" {
		return false, nil
	}
	if found.own != nil {
		return true, nil
	}
	path, err := s.statePath(found.state, "registry.db")
	if err != nil {
		return false, err
	}
	if info, err := look(path); err != nil || info != nil {
		return info != nil, err
	}
	if path, err = s.statePath(found.state, "envs"); err != nil {
		return false, err
	}
	entries, err := os.ReadDir(path)
	if err != nil && !isAbsent(err) {
		return false, unreadable(path, err)
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".env") {
			return true, nil
		}
	}
	return false, nil
}

// isCopied tells whether the pointer was written for another directory that still has it and has the same state.
func (s *Stack) isCopied(from, state string, isStateHere bool) bool {
	if isSamePlace(from, s.root) {
		return false
	}
	if isStateHere {
		other, err := s.stateOf(from)
		if err != nil {
			return state != s.root // unseen, it can have no state but its own or the main worktree's
		}
		if !isSamePlace(other, state) {
			return false // its state came along
		}
	}
	_, err := os.Lstat(join(from, ".current-env"))
	if err != nil && !isAbsent(err) {
		return state != s.root
	}
	return err == nil // else moved, or mounted elsewhere
}

// isGiven tells whether a resource gives a variable: a person's own line is then not read.
func (s *Stack) isGiven(name string) (bool, error) {
	entries := map[string]any{}
	if s.config != nil {
		entries = s.config.entries
	}
	all, err := declaredResources(entries)
	for _, one := range all {
		facts, prefix := kinds[one.kind], variablePrefix(one.name)
		if contains(facts.variables, strings.TrimPrefix(name, prefix)) && strings.HasPrefix(name, prefix) {
			return true, nil
		}
		if facts.namespace != "" && strings.HasPrefix(name, prefix+facts.namespace) {
			return true, nil
		}
	}
	return false, err
}

// stateOf is the directory of a checkout's state: the user's choice holds for all checkouts.
func (s *Stack) stateOf(root string) (string, error) {
	chosen, err := chosenState(s.variable("FORKSTACK_STATE"), []string{s.root, s.dir})
	if err != nil || chosen != "" {
		return chosen, err
	}
	return stateRoot(root)
}

// statePath is a path in .forkstack/, if it is this checkout's and this user's.
func (s *Stack) statePath(state string, names ...string) (string, error) {
	path := join(append([]string{state, ".forkstack"}, names...)...)
	return path, assertState(state, path, s.dir)
}

// text of a file in the root. A link may lead to another checkout's pointer, so that must be none.
func (s *Stack) text(file string) (*string, error) {
	if s.root == "" {
		return nil, nil
	}
	path := join(s.root, file)
	if err := assertOwned(path, s.dir, file != ".current-env"); err != nil {
		return nil, err
	}
	return readText(path)
}

// variable of the process that is not empty.
func (s *Stack) variable(name string) string { return textOf(s.raw(name)) }

func (s *Stack) raw(name string) *string {
	value, is := s.environ(name)
	if !is {
		return nil
	}
	return &value
}

// bucketName is the name of a bucket, which follows from the variable's own name if there is no forkstack.json.
func (s *Stack) bucketName(name string) *string {
	own, isName := strings.CutSuffix(name, "BUCKET_NAME")
	if !isName || s.env == nil {
		return nil
	}
	own = strings.ReplaceAll(strings.ToLower(strings.TrimSuffix(own, "_")), "_", "-")
	all := []declared{{kind: "storage", name: own}}
	if s.config != nil {
		all, _ = declaredResources(s.config.entries)
	}
	for _, one := range all {
		if one.kind != "storage" || variablePrefix(one.name)+"BUCKET_NAME" != name {
			continue
		}
		project, err := s.ProjectName()
		if err != nil {
			return nil
		}
		if title, err := declaredTitle(one, project, *s.env); err == nil {
			return &title
		}
	}
	return nil
}

// provided holds the provider's answers, none older than five minutes.
func (s *Stack) provided() (map[string]string, error) {
	s.mu.Lock()
	known, until := s.secrets, s.secretsUntil
	s.mu.Unlock()
	if time.Now().Before(until) {
		return known, nil
	}
	all, err := s.askProvider()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets, s.secretsUntil = all, time.Now().Add(secretsMaxAge)
	return all, nil
}

func (s *Stack) askProvider() (map[string]string, error) {
	one, err := s.resource("secrets", nil)
	if err != nil || one == nil {
		return nil, err
	}
	if one.provider == "env-file" {
		path, err := s.Of("secrets", "SECRETS_FILE")
		if err != nil {
			return nil, err
		}
		text, err := readText(path)
		if err != nil {
			return nil, err
		}
		return parseSecretsFile(textOf(text), strconv.Quote(path))
	}
	data, err := s.command("read the secrets", "", "secrets", "list", *s.env, "--reveal")
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, one := range data.Secrets {
		found[one.Key] = one.Value
	}
	return found, nil
}

type answer struct {
	Secrets []struct{ Key, Value string }
}

// command asks the command line, which alone speaks with vendors and writes.
func (s *Stack) command(what, input string, args ...string) (answer, error) {
	program, err := exec.LookPath("forkstack")
	if err != nil {
		hint := "Install forkstack so that it is in PATH, or set the secrets in the process"
		return answer{}, guardError("PROVIDER_MISSING", &s.facts, what, "there is no `forkstack` in PATH", hint)
	}
	run := exec.Command(program, append(args, "--json")...)
	run.Dir, run.Stdin = s.dir, strings.NewReader(input)
	stdout, failure := run.Output()
	var said struct {
		OK    bool
		Data  answer
		Error Error
	}
	if err := json.Unmarshal(stdout, &said); err == nil && said.OK {
		return said.Data, nil
	}
	if said.Error.Code == "" {
		state := fmt.Sprintf("`forkstack` ended with %v", failure)
		return answer{}, guardError("PROVIDER_MISSING", &s.facts, what, state, "`forkstack doctor` looks for the cause")
	}
	return answer{}, &said.Error
}

// ---- names

// kindFacts of a kind of resource, whichever provider it has.
type kindFacts struct {
	variables []string // that its providers give, without variablePrefix()
	namespace string   // the beginning of all that its clients read
	title     func(names []string, env string) string
	embedded  string // the provider without a server
	path      string // of that, under the state's root
}

func joined(names []string, env string) string {
	if env == "prod" {
		return strings.Join(names, "-")
	}
	return strings.Join(append(names[:len(names):len(names)], env), "-")
}

var kindOrder = []string{"database", "storage", "secrets", "cache", "queue", "local"}

var kinds = map[string]kindFacts{
	"database": {
		variables: []string{"DATABASE_URL", "DATABASE_AUTH_TOKEN", "DATABASE_PATH"},
		title:     joined, embedded: "sqlite", path: ".forkstack/sqlite/%s.db",
	},
	"storage": {
		variables: []string{"BUCKET_NAME", "BUCKET_PATH"}, namespace: "AWS_",
		title:    func(names []string, env string) string { return strings.Join(names, "-") + "-bucket-" + env },
		embedded: "local", path: ".forkstack/buckets/%s",
	},
	"secrets": {
		variables: []string{"SECRETS_FILE"},
		title: func(names []string, env string) string {
			return strings.Join(append(names[1:len(names):len(names)], env), "-")
		},
		embedded: "env-file", path: ".forkstack/secrets/%s.env",
	},
	"cache": {variables: []string{"CACHE_URL", "REDIS_URL", "CACHE_PREFIX"}, title: joined},
	"queue": {variables: []string{"QUEUE_URL", "QUEUE_PREFIX"}, title: joined},
	"local": {
		variables: []string{"LOCAL_PATH"},
		title: func(names []string, env string) string {
			return strings.Join(append(names[:len(names):len(names)], env), ".") + ".db"
		},
		embedded: "directory", path: "%s",
	},
}

const maxNameLength = 63

var aliases = map[string]string{"production": "prod", "development": "dev"}

// isName tells whether a name is like ^[a-z0-9]([a-z0-9-]*[a-z0-9])?$.
func isName(value string) bool {
	for _, sign := range []byte(value) {
		if sign != '-' && (sign < 'a' || 'z' < sign) && (sign < '0' || '9' < sign) {
			return false
		}
	}
	return value != "" && len(value) <= maxNameLength && value[0] != '-' && value[len(value)-1] != '-'
}

func unaliased(name string) string {
	if short, is := aliases[name]; is {
		return short
	}
	return name
}

func parseEnvName(value, source string) (string, error) {
	name := unaliased(value)
	if isName(name) {
		return name, nil
	}
	shown := value
	if len(shown) > 40 {
		shown = strings.ToValidUTF8(shown[:40], "") + "..."
	}
	rule := fmt.Sprintf(`it must be 1 to %d characters of a-z, 0-9 and "-" inside`, maxNameLength)
	what := fmt.Sprintf("%q as %s", shown, source)
	return "", unusable("NAME_INVALID", what, rule, `Names look like "alice" or "pr-42"`)
}

// deploymentOf is the environment that a process's ENV names. With a "/" it names none: POSIX shells keep a path there.
func deploymentOf(value *string) *string {
	if value == nil || strings.Contains(*value, "/") {
		return nil
	}
	return value
}

// declared is one resource of forkstack.json, as far as the reader needs it.
type declared struct {
	kind, name, provider string // name: "" if its kind is no map of named ones
	options              map[string]any
}

func (one declared) isEmbedded() bool {
	return kinds[one.kind].embedded != "" && kinds[one.kind].embedded == one.provider
}

// title is the name of a resource at its vendor, derived so that it needs no state, e.g. "shop-uploads-bucket-alice".
func (one declared) title(project, env string) string {
	names := []string{project}
	if one.name != "" {
		names = append(names, one.name)
	}
	return kinds[one.kind].title(names, env)
}

// base is the name or path of a base environment's resource that its `bases` has; "" if it has none.
func (one declared) base(env string) (string, error) {
	bases, _ := one.options["bases"].(map[string]any)
	if env != "dev" && env != "prod" {
		return "", nil
	}
	switch value := bases[env].(type) {
	case nil:
		return "", nil
	case string:
		if value != "" {
			return value, nil
		}
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64), nil
	}
	state := fmt.Sprintf(`"bases" of %q has no name of %q`, one.kind, env)
	return "", unusable("CONFIG_INVALID", "forkstack.json", state, "Write a text")
}

func declaredTitle(one declared, project, env string) (string, error) {
	if !one.isEmbedded() {
		if base, err := one.base(env); err != nil || base != "" {
			return base, err
		}
	}
	return one.title(project, env), nil
}

// variablePrefix of a named resource's variables: "UPLOADS_" for "uploads", nothing for an unnamed one.
func variablePrefix(name string) string {
	if name == "" {
		return ""
	}
	return strings.ReplaceAll(strings.ToUpper(name), "-", "_") + "_"
}

// ---- forkstack.json

type config struct {
	project string
	entries map[string]any
}

// declaredResources lists those that a forkstack.json declares, or else the embedded ones.
func declaredResources(entries map[string]any) ([]declared, error) {
	isEmbedded := true
	for _, kind := range kindOrder {
		_, isThere := entries[kind]
		isEmbedded = isEmbedded && !isThere
	}
	var found []declared
	for _, kind := range kindOrder {
		entry, isThere := entries[kind]
		if isEmbedded {
			if kinds[kind].embedded == "" {
				continue
			}
			entry = map[string]any{"provider": kinds[kind].embedded}
		} else if !isThere {
			continue
		}
		options, isObject := entry.(map[string]any)
		if provider, is := options["provider"].(string); is {
			found = append(found, declared{kind, "", provider, options})
			continue
		}
		names := make([]string, 0, len(options))
		for name := range options {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			options, _ := options[name].(map[string]any)
			provider, is := options["provider"].(string)
			if !is {
				isObject = false
				break
			}
			found = append(found, declared{kind, name, provider, options})
		}
		if !isObject {
			hint := `Write {"provider": "..."}, or a map of those by name`
			return nil, unusable("CONFIG_INVALID", "forkstack.json", fmt.Sprintf("%q names no provider", kind), hint)
		}
	}
	return found, nil
}

var envFilePattern = pattern(`^(?:[\w@-][\w.@-]*/)*(?:\.env(?:\.[\w.-]+)?|\w[\w.-]*\.env)$`)

// envFileOf is the env file of the project that holds forkstack's block; "" if none may.
func envFileOf(entries map[string]any) (string, error) {
	name, has := entries["envFile"]
	if !has {
		return ".env.local", nil
	}
	if name == false {
		return "", nil
	}
	if text, is := name.(string); is && envFilePattern().MatchString(text) {
		return text, nil
	}
	hint := `Write a name like ".env", or false for none`
	return "", unusable("CONFIG_INVALID", "forkstack.json", `"envFile" names no env file of the project`, hint)
}

func readConfig(directory, cwd string) (*config, error) {
	path := join(directory, "forkstack.json")
	if directory != cwd {
		if err := assertOwned(path, cwd, true); err != nil {
			return nil, err
		}
	}
	text, err := readText(path)
	if err != nil {
		return nil, err
	}
	var entries map[string]any
	if err := json.Unmarshal([]byte(textOf(text)), &entries); err != nil {
		var other *json.UnmarshalTypeError
		if !errors.As(err, &other) {
			hint := "`forkstack status` names the line and column"
			return nil, &Error{"CONFIG_INVALID", fmt.Sprintf("Cannot read %s: it is not valid JSON", path), hint}
		}
	}
	project, _ := entries["project"].(string)
	if !isName(project) {
		hint := "`forkstack status` names every problem in it"
		return nil, unusable("CONFIG_INVALID", path, `"project" must be a name like "myapp"`, hint)
	}
	return &config{project: project, entries: entries}, nil
}

// derivedVariables follow from forkstack.json and its and the state's place alone: those of embedded providers.
func derivedVariables(config *config, state, env, root string) (map[string]string, error) {
	all, err := declaredResources(config.entries)
	found := map[string]string{}
	for _, one := range all {
		if !one.isEmbedded() {
			continue
		}
		title := one.title(config.project, env)
		path, err := basePath(one, env, root)
		if err != nil {
			return nil, err
		}
		if path == "" {
			path = join(state, fmt.Sprintf(kinds[one.kind].path, title))
		}
		gives := map[string]string{"DATABASE_URL": fileURL(path), "BUCKET_NAME": title}
		for _, variable := range kinds[one.kind].variables {
			value, is := gives[variable]
			if !is {
				value = path
			}
			if variable != "DATABASE_AUTH_TOKEN" {
				found[variablePrefix(one.name)+variable] = value
			}
		}
	}
	return found, err
}

// basePath is the absolute path in a base environment of an embedded resource, if its `bases` has one.
func basePath(one declared, env, root string) (string, error) {
	path, err := one.base(env)
	if err != nil || path == "" {
		return "", err
	}
	if filepath.IsAbs(path) {
		return withoutEnd(join(path)), nil
	}
	main, err := mainRoot(root)
	return filepath.Join(main, path), err
}

// ---- directories

type checkout struct {
	top              string
	isLinked, isBare bool
	main             string // the main worktree of a linked one, or its common git directory if that is bare
}

type project struct {
	root, configRoot string // where .current-env is, and forkstack.json
	isLinked         bool
}

// findUpwards is the nearest directory that holds a file, up to `top`; "" if none does.
func findUpwards(from, file, top string) (string, error) {
	for at := withoutEnd(join(from)); ; at = filepath.Dir(at) {
		info, err := look(join(at, file))
		if err != nil {
			return "", err
		}
		if info != nil {
			return at, nil
		}
		if at == top || filepath.Dir(at) == at {
			return "", nil
		}
	}
}

func checkoutOf(directory string) (*checkout, error) {
	top, err := findUpwards(directory, ".git", "")
	if err != nil || top == "" || assertOwned(join(top, ".git"), directory, true) != nil {
		return nil, nil // what lies above and can't be read is none of ours
	}
	if info, err := look(join(top, ".git")); err != nil || info == nil || info.IsDir() {
		return &checkout{top: top}, err
	}
	isLinked, common, err := readGitFile(top)
	if err != nil || common == "" {
		return &checkout{top: top, isLinked: isLinked}, err
	}
	found := &checkout{top: top, isLinked: isLinked}
	// With extensions.worktreeConfig, git keeps `bare` in a file of its own: https://git-scm.com/docs/git-worktree
	for _, name := range []string{"config", "config.worktree"} {
		text, err := readText(join(common, name))
		if err != nil {
			return nil, err
		}
		found.isBare = found.isBare || isBareConfig().MatchString(textOf(text))
	}
	if found.isBare {
		found.main = common
	} else if filepath.Base(common) == ".git" {
		found.main = filepath.Dir(common)
	}
	return found, nil
}

var (
	isBareConfig = pattern(`(?im)^\s*bare\s*=\s*true\s*$`)
	gitDirLine   = pattern(`(?m)^gitdir: ([^\r\n]+)`)
)

// readGitFile tells whether a checkout's .git file is that of a worktree, and names the git directory of the repository
// that lists it.
func readGitFile(top string) (isLinked bool, common string, err error) {
	text, err := readText(join(top, ".git"))
	if err != nil {
		return false, "", err
	}
	named := gitDirLine().FindStringSubmatch(textOf(text))
	gitDir := top
	var shared *string
	if named != nil {
		gitDir = resolved(top, named[1])
		if shared, err = readText(join(gitDir, "commondir")); err != nil {
			return false, "", err
		}
	}
	if shared == nil { // a submodule, or a worktree whose repository was moved away
		info, err := look(gitDir)
		return filepath.Base(filepath.Dir(gitDir)) == "worktrees" && info == nil, "", err
	}
	common = resolved(gitDir, strings.TrimSpace(*shared))
	// Anybody can write a .git file. Only the repository's own list says that this one belongs to it:
	// https://git-scm.com/docs/gitrepository-layout (worktrees/<id>/gitdir)
	list, err := readText(join(gitDir, "gitdir"))
	listed := resolved(gitDir, strings.TrimSpace(textOf(list)))
	isListed := filepath.Base(listed) == ".git" && isSamePlace(filepath.Dir(listed), top) &&
		isSamePlace(filepath.Dir(realPath(gitDir)), join(common, "worktrees"))
	if !isListed {
		common = ""
	}
	return true, common, err
}

// stateRoot is the directory of .forkstack/: a linked worktree's is the main one's, or a bare repository's own.
func stateRoot(root string) (string, error) {
	found, err := checkoutOf(root)
	if err != nil || found == nil || found.main == "" {
		return root, err
	}
	below, err := filepath.Rel(realPath(found.top), realPath(root))
	if err != nil || below == "." {
		return found.main, nil
	}
	if found.isBare {
		return join(found.main, ".forkstack", "projects", below), nil
	}
	return join(found.main, below), nil
}

// mainRoot is the project's directory in the main worktree, which has the data; its own in a bare layout.
func mainRoot(root string) (string, error) {
	found, err := checkoutOf(root)
	if err != nil || (found != nil && found.isBare) {
		return root, err
	}
	return stateRoot(root)
}

func findProject(cwd string) (*project, error) {
	found, err := checkoutOf(cwd)
	if err != nil {
		return nil, err
	}
	here := checkout{}
	if found != nil {
		here = *found
	}
	own, err := findUpwards(cwd, "forkstack.json", here.top)
	if err != nil {
		return nil, err
	}
	if own != "" {
		return &project{own, own, here.isLinked}, nil
	}
	if here.main != "" && !here.isBare {
		like, err := findUpwards(here.main+cwd[len(here.top):], "forkstack.json", here.main)
		if err != nil {
			return nil, err
		}
		if like != "" {
			return &project{here.top + like[len(here.main):], like, here.isLinked}, nil
		}
	}
	root, err := findUpwards(cwd, ".current-env", here.top)
	if err != nil || root == "" {
		return nil, err
	}
	return &project{root, "", here.isLinked}, nil
}

var setsState = pattern(`(?m)^[ \t]*(?:export[ \t]+)?FORKSTACK_STATE[ \t]*[=:]`)

// chosenState is the user's choice of a directory for .forkstack/, which env files in `directories` may not make.
func chosenState(path string, directories []string) (string, error) {
	if path == "" {
		return "", nil
	}
	for _, directory := range directories {
		// Env files that runtimes load into the process: https://bun.com/docs/runtime/env
		for _, mode := range []string{"", ".production", ".development", ".test"} {
			for _, end := range []string{"", ".local"} {
				file := join(directory, ".env"+mode+end)
				if text, err := readText(file); err == nil && setsState().MatchString(textOf(text)) {
					hint := "Remove the line: the user chooses where the state is, in the shell, and no file of a project does"
					return "", unusable("NOT_PERMITTED", "FORKSTACK_STATE", strconv.Quote(file)+" sets it", hint)
				}
			}
		}
	}
	if filepath.IsAbs(path) {
		return withoutEnd(join(path)), nil
	}
	hint := `Set it to a path like "/home/alice/.local/state/shop", or unset it`
	return "", unusable("VALUE_INVALID", "FORKSTACK_STATE", strconv.Quote(path)+" is no absolute path", hint)
}

// isOwned tells whether this user, root or the owner of the working directory owns what is there.
func isOwned(info fs.FileInfo, cwd string) bool {
	owner := ownerOf(info)
	if owner <= 0 || owner == os.Getuid() {
		return true
	}
	here, err := os.Stat(cwd)
	return err == nil && ownerOf(here) == owner
}

// ownerOf is the number of the user who owns a file; 0 where the system has no owners.
func ownerOf(info fs.FileInfo) int {
	stat := reflect.Indirect(reflect.ValueOf(info.Sys())) // of a type that each system has its own of
	if stat.Kind() != reflect.Struct {
		return 0
	}
	if uid := stat.FieldByName("Uid"); uid.IsValid() && uid.CanUint() {
		return int(uid.Uint())
	}
	return 0
}

// assertOwned returns ErrNotPermitted for what isOwned refuses, if there is a cwd, and, if asked, for a link.
func assertOwned(path, cwd string, mayBeLink bool) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil: // it is not there, or whoever reads it is told
		return nil
	case !mayBeLink && info.Mode()&fs.ModeSymlink != 0:
		hint := "Remove it, or put what it leads to in its place"
		return unusable("NOT_PERMITTED", strconv.Quote(path), "it is a link", hint)
	case cwd == "" || isOwned(info, cwd):
		return nil
	}
	hint := "Remove it, make it yours with chown"
	return unusable("NOT_PERMITTED", strconv.Quote(path), "another user owns it", hint)
}

// assertState returns ErrNotPermitted if another user owns the .forkstack/ of a path, or a link is at or in it.
func assertState(root, path, cwd string) error {
	below, is := strings.CutPrefix(path, join(root, "/"))
	names := strings.Split(below, "/")
	if !is || names[0] != ".forkstack" {
		return nil
	}
	at := root
	for _, name := range names {
		at = join(at, name)
		owner := ""
		if name == ".forkstack" {
			owner = cwd
		}
		if err := assertOwned(at, owner, false); err != nil {
			return err
		}
	}
	return nil
}

// ---- env files

// value in an env file, or the error that says where it can't be read whole.
type value struct {
	text string
	err  error
}

type values map[string]*value

// assignment in an env file: the value in single, double (whole, or up to a quote that does not end it) or back quotes,
// or bare, and what follows on the line.
type assignment struct {
	begin, end              int
	name, space, bare, rest string
	single, double          *string
	cut, back               *string
}

func isSpace(sign byte) bool { return sign == ' ' || sign == '\t' }

func skip(text string, at int, is func(byte) bool) int {
	for at < len(text) && is(text[at]) {
		at++
	}
	return at
}

func isNameSign(sign byte) bool {
	return sign == '_' || sign == '.' || sign == '-' || ('0' <= sign && sign <= '9') ||
		('a' <= sign && sign <= 'z') || ('A' <= sign && sign <= 'Z')
}

// nameAt reads a name and the sign of equality after it; end is -1 if they are not there.
func nameAt(text string, at int) (name string, end int) {
	after := skip(text, at, isNameSign)
	sign := skip(text, after, isSpace)
	if after == at || sign == len(text) || text[sign] != '=' {
		return "", -1
	}
	return text[at:after], sign + 1
}

func assignmentAt(text string, begin int) *assignment {
	at := skip(text, begin, isSpace)
	name, end := "", -1
	if exported, is := strings.CutPrefix(text[at:], "export"); is && exported != "" && isSpace(exported[0]) {
		name, end = nameAt(text, skip(text, at+len("export"), isSpace))
	}
	if end < 0 {
		if name, end = nameAt(text, at); end < 0 {
			return nil
		}
	}
	found := &assignment{begin: begin, name: name}
	from := skip(text, end, isSpace)
	found.space = text[end:from]
	at = from
	if quoted, after := quotedAt(text, from); after > 0 {
		at = after
		switch {
		case text[from] == '\'':
			found.single = &quoted
		case text[from] == '`':
			found.back = &quoted
		case endsLine(text, after):
			found.double = &quoted
		default: // the quote that is not escaped does not end the value: up to the first one
			cut := text[from+1 : from+1+strings.IndexByte(text[from+1:], '"')]
			found.cut, at = &cut, from+len(cut)+2
		}
	} else if from < len(text) && text[from] == '"' && strings.IndexByte(text[from+1:], '"') >= 0 {
		cut := text[from+1 : from+1+strings.IndexByte(text[from+1:], '"')]
		found.cut, at = &cut, from+len(cut)+2
	}
	isLine := func(sign byte) bool { return sign != '\n' }
	if at == from {
		at = skip(text, at, isLine)
		found.bare = text[from:at]
	}
	found.end = skip(text, at, isLine)
	found.rest = text[at:found.end]
	if found.end < len(text) {
		found.end++
	}
	return found
}

// quotedAt is what stands in quotes at a place, and the place after them; 0 if none does.
func quotedAt(text string, from int) (string, int) {
	if from == len(text) {
		return "", 0
	}
	quote := text[from]
	if quote != '\'' && quote != '"' && quote != '`' {
		return "", 0
	}
	for at := from + 1; at < len(text); at++ {
		if quote == '"' && text[at] == '\\' {
			at++
			if at < len(text) && text[at] >= utf8.RuneSelf {
				_, size := utf8.DecodeRuneInString(text[at:])
				at += size - 1
			}
		} else if text[at] == quote {
			return text[from+1 : at], at + 1
		}
	}
	return "", 0
}

// endsLine tells whether only a comment follows on the line.
func endsLine(text string, at int) bool {
	at = skip(text, at, func(sign byte) bool { return isSpace(sign) || sign == '\r' })
	return at == len(text) || text[at] == '\n' || text[at] == '#'
}

func assignments(text string) []*assignment {
	var found []*assignment
	for at := 0; at < len(text); {
		if at > 0 && text[at-1] != '\n' && text[at-1] != '\r' {
			at++
			continue
		}
		one := assignmentAt(text, at)
		if one == nil {
			at++
			continue
		}
		found = append(found, one)
		at = one.end
	}
	return found
}

// readEnvFile holds the values in the text of an env file, each whole or an error: nobody may ask for those.
func readEnvFile(text, name string) values {
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	found := values{}
	for _, one := range assignments(text) {
		found[one.name] = valueOf(one, text, name)
	}
	return found
}

var otherEscape = pattern(`\\[^"\\n]`)

func valueOf(one *assignment, text, file string) *value {
	line := one.space + one.bare
	plain, _, _ := strings.Cut(line, "#")
	// Node ends the value at \", and all others take it for an escape; if that is all, they agree.
	escaped := ""
	if one.double != nil && strings.Contains(*one.double, `\"`) {
		escaped = *one.double
	}
	var read string
	switch {
	case one.single != nil:
		read = *one.single
	case one.back != nil:
		read = *one.back
	case one.double != nil:
		read = unescaped(*one.double, escaped != "")
	default:
		read = strings.Trim(plain, " \t")
	}
	afterQuote := strings.TrimLeft(one.rest, " \t")
	all := text[one.begin:one.end]
	_, assigned, _ := strings.Cut(all, "=")
	var part, state string
	switch {
	case one.bare != "" && strings.ContainsRune("'\"`", rune(one.bare[0])):
		part, state = one.bare, "the quote is not closed"
	case plain != line && !strings.HasSuffix(plain, " ") && !strings.HasSuffix(plain, "\t"):
		part, state = line[len(plain):], "some programs end the value at this #"
	case afterQuote != "" && afterQuote[0] != '#':
		part, state = afterQuote, "text follows the closing quote"
	case one.cut != nil:
		part, state = `"`+*one.cut+`"`+one.rest, "the quote is not closed, since its last one is escaped"
	case escaped != "" && otherEscape().MatchString(strings.NewReplacer(`\\`, "", `\"`, "").Replace(escaped)):
		part, state = `"`+escaped+`"`+one.rest, "programs differ on its escapes"
	case strings.ContainsRune(read, utf8.RuneError):
		part, state = assigned, "it is not UTF-8"
	default:
		return &value{text: read}
	}
	before := text[:one.begin+len(trimEnd(all))-len(trimEnd(part))]
	lineBegin := strings.LastIndex(before, "\n") + 1
	at := fmt.Sprintf("line %d, column %d", strings.Count(before, "\n")+1, utf8.RuneCountInString(before[lineBegin:])+1)
	message := fmt.Sprintf("Cannot read variable %q of %s: %s: %s", one.name, file, at, state)
	hint := "Put the whole value into single quotes, or into double ones if it has a single one"
	return &value{err: &Error{"VALUE_UNREADABLE", message, hint}}
}

func trimEnd(text string) string {
	return strings.TrimRight(text, " \t\n\r\v\f\u00a0\u2028\u2029\ufeff")
}

func unescaped(text string, all bool) string {
	var plain strings.Builder
	for at := 0; at < len(text); at++ {
		if text[at] != '\\' || at+1 == len(text) || (!all && text[at+1] != 'n') {
			plain.WriteByte(text[at])
			continue
		}
		at++
		if text[at] == 'n' {
			plain.WriteByte('\n')
		} else {
			plain.WriteByte(text[at])
		}
	}
	return plain.String()
}

const encoded = "forkstack-uri:" // the beginning of a value, percent-encoded, that an env file can't hold as it is

func parseSecretsFile(text, name string) (map[string]string, error) {
	found := map[string]string{}
	for key, value := range readEnvFile(text, name) {
		if value.err != nil {
			return nil, value.err
		}
		found[key] = value.text
		if part, is := strings.CutPrefix(value.text, encoded); is {
			plain, err := url.PathUnescape(part)
			if err != nil {
				return nil, unusable("VALUE_UNREADABLE", name, fmt.Sprintf("%q is not percent-encoded", key), "Set it again")
			}
			found[key] = plain
		}
	}
	return found, nil
}

func textIn(file values, name string) *string {
	found, is := file[name]
	if !is || found.err != nil {
		return nil
	}
	return &found.text
}

// block of forkstack in an env file; all other lines are a person's.
type block struct {
	begin, end int
	own        string
	directory  *string // that it was written for; absent in the format of 0.1.0, which has no markers
}

var (
	format010 = pattern(`^FORKSTACK_ENV='[^'\r\n]*'\r?\nFORKSTACK_PROJECT='[^'\r\n]*'(?:\r?\n|$)`)
	kept010   = pattern(`(?:^|\n)(# yours, kept\r?(?:\n|$))`)
)

// markersIn tells where each line begins and ends that is like "# >>> forkstack" or "# <<< forkstack".
func markersIn(text string) [][2]int {
	var found [][2]int
	for begin := 0; begin < len(text); {
		end := len(text)
		if at := strings.IndexAny(text[begin:], "\r\n"); at >= 0 {
			end = begin + at
		}
		next := end + 1
		if isMarker(text[begin:end]) {
			ended := end
			if strings.HasPrefix(strings.TrimPrefix(text[end:], "\r"), "\n") {
				ended = end + strings.IndexByte(text[end:], '\n') + 1
				next = ended
			}
			found = append(found, [2]int{begin, ended})
		}
		begin = next
	}
	return found
}

func isMarker(line string) bool {
	spaces := " \t"
	line, is := strings.CutPrefix(strings.TrimLeft(line, spaces), "#")
	line = strings.TrimLeft(line, spaces)
	return is && (strings.HasPrefix(line, ">>>") || strings.HasPrefix(line, "<<<")) &&
		strings.HasPrefix(strings.TrimLeft(line[3:], spaces), "forkstack")
}

func findEnvBlock(text, name string) (*block, error) {
	markers := markersIn(text)
	if len(markers) == 0 {
		head := format010().FindString(text)
		if head == "" {
			return nil, nil
		}
		if kept := kept010().FindStringSubmatchIndex(text[len(head)-1:]); kept != nil && strings.HasSuffix(head, "\n") {
			return &block{0, len(head) - 1 + kept[3], text[:len(head)-1+kept[2]], nil}, nil
		}
		return &block{0, len(text), text, nil}, nil
	}
	lineOf := func(at int) int { return strings.Count(text[:at], "\n") + 1 }
	damaged := func(marker [2]int, state string) error {
		hint := "Leave one pair of marker lines, or delete them and all between, then switch to the environment again"
		return unusable("ENV_CONFLICT", name, fmt.Sprintf("line %d, a marker, %s", lineOf(marker[0]), state), hint)
	}
	all := assignments(text)
	for _, marker := range markers[:min(3, len(markers))] {
		for _, one := range all {
			if one.begin < marker[0] && marker[0] < one.end {
				return nil, damaged(marker, fmt.Sprintf("is inside the value of %s in line %d", one.name, lineOf(one.begin)))
			}
		}
	}
	first := markers[0]
	var begun map[string]any
	if written, is := strings.CutPrefix(text[first[0]:first[1]], "# >>> forkstack "); is {
		_ = json.Unmarshal([]byte(written), &begun)
	}
	directory, isText := begun["directory"].(string)
	switch {
	case !isText:
		return nil, damaged(first, "begins no block")
	case len(markers) == 1:
		return nil, damaged(first, "has no end marker below it")
	case strings.TrimRight(text[markers[1][0]:markers[1][1]], " \t\r\n") != "# <<< forkstack":
		return nil, damaged(markers[1], "does not end the block before it")
	case len(markers) > 2:
		return nil, damaged(markers[2], "follows a block: there may be one")
	}
	return &block{first[0], markers[1][1], text[first[1]:markers[1][0]], &directory}, nil
}

// readSharedFile holds the values of an env file that is shared with a person, those of forkstack's block apart.
func readSharedFile(text, name string) (own, person values, directory *string, err error) {
	found, err := findEnvBlock(text, name)
	if err != nil || found == nil {
		return nil, readEnvFile(text, name), nil, err
	}
	// Without the other's lines but with their ends, so that an error names the line in the file.
	blank := func(part string) string {
		return strings.Map(func(sign rune) rune {
			if sign == '\r' || sign == '\n' {
				return sign
			}
			return -1
		}, part)
	}
	at := found.begin + strings.Index(text[found.begin:], found.own)
	own = readEnvFile(blank(text[:at])+found.own, name)
	person = readEnvFile(text[:found.begin]+blank(text[found.begin:found.end])+text[found.end:], name)
	return own, person, found.directory, nil
}

// ---- the guard

// said holds the environment and the project that a file or a process names.
type said struct{ Env, Project *string }

type processFacts struct {
	Env, Deployment, Project *string
	Run                      string // the environment for which FORKSTACK_RUN vouches
}

type personFacts struct{ Env, Deployment *string }

// facts of a checkout and its process, from which the environment is decided.
type facts struct {
	Process          processFacts
	Project          *string // of forkstack.json
	Pointer          *string // the text of .current-env
	IsPointerCopied  bool    // written for another directory, which still holds it and has the same state
	IsLinkedWorktree bool
	EnvFile          string      // its name
	Block            *said       // forkstack's in the env file
	Person           personFacts // a person's lines of it
	File             *said       // the environment's own under .forkstack/envs/
	hasState         func() (bool, error)
}

// candidates for one value.
type candidates struct {
	process          *string // the process environment
	isVouched        bool    // FORKSTACK_RUN names the variable
	file, block      *value
	derived          *string // what follows from forkstack.json and the root of the state
	isPlace          bool    // it is a place, so that a file may be stale
	provided, person *value
}

type guarded struct {
	env   string
	value *value
	from  string
}

// way in which the environment came about, before the guard has looked at what contradicts it.
type way struct {
	env                                         *string
	decidedBy                                   string
	isRun, isNamed, isBlockLoaded, isFileLoaded bool
}

func saidBy(file values) *said {
	if file == nil {
		return nil
	}
	return &said{textIn(file, "FORKSTACK_ENV"), textIn(file, "FORKSTACK_PROJECT")}
}

func decide(facts *facts) (way, error) {
	found := way{decidedBy: "nothing"}
	var name *string
	base := "dev"
	switch deployment := deploymentOf(facts.Process.Deployment); {
	case facts.Process.Env != nil:
		found.decidedBy, name = "FORKSTACK_ENV", facts.Process.Env
	case deployment != nil:
		found.decidedBy, name = "ENV", deployment
	case facts.Pointer != nil:
		pointer := strings.TrimSpace(*facts.Pointer)
		found.decidedBy, name = ".current-env", &pointer
	case !facts.IsLinkedWorktree:
		found.decidedBy, name = "default", &base
	}
	if name != nil {
		env, err := parseEnvName(*name, found.decidedBy)
		if err != nil {
			return found, err
		}
		found.env = &env
	}
	found.isRun = found.env != nil && facts.Process.Run == *found.env // by `forkstack run`, which has looked
	found.isNamed = found.decidedBy == "FORKSTACK_ENV" || found.decidedBy == "ENV"
	// A file that was loaded before the start brings the FORKSTACK_ENV that decides: a block, or a person's line.
	isByFile := func(env *string) bool {
		return !found.isRun && found.decidedBy == "FORKSTACK_ENV" && isSame(env, found.env)
	}
	found.isBlockLoaded = facts.Block != nil && isByFile(facts.Block.Env) && facts.Process.Project != nil
	found.isFileLoaded = found.isBlockLoaded || (facts.Person.Env != nil && isByFile(facts.Person.Env))
	return found, nil
}

// certainEnv is the environment, if nothing contradicts it and it was made.
func certainEnv(facts *facts, way way) (string, error) {
	block, file := facts.Block, facts.File
	envFile := facts.EnvFile
	if envFile == "" {
		envFile = ".env.local"
	}
	var pointer *string
	if facts.Pointer != nil {
		trimmed := strings.TrimSpace(*facts.Pointer)
		pointer = &trimmed
	}
	isByPlace := !way.isRun && (!way.isNamed || way.isFileLoaded)
	isOther := func(project *string) bool { return facts.Project != nil && !isSame(project, facts.Project) }
	says := func(said *said) string {
		return fmt.Sprintf("says environment %q of project %q", textOf(said.Env), textOf(said.Project))
	}
	chosen := deploymentOf(facts.Process.Deployment)
	if isSame(facts.Process.Deployment, facts.Person.Deployment) {
		chosen = nil
	}
	wanted, wantedBy := "", ".current-env"
	switch {
	case chosen != nil:
		wanted, wantedBy = *chosen, "ENV"
	case pointer != nil:
		wanted = *pointer
	case way.env != nil:
		wanted = *way.env
	}
	isOtherProcess := way.isNamed && facts.Process.Project != nil && isOther(facts.Process.Project)
	contradiction := ""
	switch {
	case isOtherProcess:
		contradiction = fmt.Sprintf("the process environment is that of project %q", *facts.Process.Project)
	case file != nil && (!isSame(file.Env, way.env) || isOther(file.Project)):
		contradiction = "their file " + says(file)
	case isByPlace && facts.IsPointerCopied:
		contradiction = "the pointer is of another directory, which is on it too"
	case isByPlace && block != nil && pointer == nil:
		contradiction = fmt.Sprintf("%s has a block of %q, and there is no .current-env", envFile, textOf(block.Env))
	case isByPlace && block != nil && isSame(block.Env, way.env) && isOther(block.Project):
		contradiction = fmt.Sprintf("the block in %s %s", envFile, says(block))
	case way.isFileLoaded && unaliased(wanted) != textOf(way.env):
		contradiction = fmt.Sprintf("%s, loaded into the process, is of %q, but %s says %q", envFile, textOf(way.env), wantedBy, wanted)
	}
	if contradiction != "" {
		command := "unset FORKSTACK_PROJECT"
		if !isOtherProcess {
			command = "forkstack switch dev"
			if way.env != nil {
				command = "forkstack switch " + *way.env
			}
		}
		return "", guardError("ENV_CONFLICT", facts, "use the variables", contradiction, fmt.Sprintf("Make them agree with `%s`", command))
	}
	if way.env == nil {
		hint := "Use an environment here with `forkstack switch dev`, or create one with `forkstack new`"
		return "", guardError("ENV_UNSET", facts, "use an environment", "this git worktree points to none", hint)
	}
	env := *way.env
	if env == "dev" || env == "prod" || way.isRun || file != nil {
		return env, nil
	}
	if !isByPlace {
		hasState, err := facts.state()
		if err != nil || !hasState {
			return env, err
		}
	}
	hint := fmt.Sprintf("Create it with `forkstack new %s`, or use another with `forkstack switch dev`", env)
	return "", guardError("ENV_UNKNOWN", facts, "use the variables", "it was never made here, or was deleted", hint)
}

// state tells whether there is a registry, or a file of any environment; asked only when it decides.
func (f *facts) state() (bool, error) {
	if f.hasState == nil {
		return false, nil
	}
	return f.hasState()
}

// guard gives, from the facts, the current environment and its value of a variable, or an error; never another
// environment's. It reads nothing but whether there is state. docs/environments.md has the table of its answers.
func guard(facts *facts, name string, given candidates) (guarded, error) {
	way, err := decide(facts)
	if err != nil {
		return guarded{}, err
	}
	env, err := certainEnv(facts, way)
	if err != nil {
		return guarded{}, err
	}
	told := guarded{env: env}
	switch {
	case given.file != nil && !given.isPlace:
		told.value, told.from = given.file, "file"
	case given.derived != nil:
		told.value, told.from = &value{text: *given.derived}, "derived"
	case given.provided != nil:
		told.value, told.from = given.provided, "provider"
	case given.person != nil:
		told.value, told.from = given.person, "person"
	}
	if given.process == nil {
		return told, nil
	}
	inProcess := *given.process
	isOwnBlock := facts.Block != nil && isSame(facts.Block.Env, &env)
	isDeployment := false
	if way.isNamed && !way.isRun && !way.isBlockLoaded {
		hasState, err := facts.state()
		if err != nil {
			return guarded{}, err
		}
		isDeployment = !hasState
	}
	isDeployed := isDeployment && (facts.Block == nil || isOwnBlock || !isText(given.block, inProcess))
	if isDeployed || (way.isRun && given.isVouched) {
		return guarded{env, &value{text: inProcess}, "process"}, nil
	}
	if !isDeployment {
		all := []*value{told.value, given.file}
		if isOwnBlock {
			all = append(all, given.block)
		}
		for _, one := range all {
			if isText(one, inProcess) || (way.isFileLoaded && isChanged(one, inProcess)) {
				return told, nil
			}
		}
	}
	envFile := facts.EnvFile
	if envFile == "" {
		envFile = ".env.local"
	}
	hint := fmt.Sprintf("Unset %s; in a deployment, leave .forkstack and %s out of it", name, envFile)
	return guarded{}, guardError("ENV_CONFLICT", facts, "read "+name, "the process environment holds a different value", hint)
}

func guardError(code string, facts *facts, what, state, hint string) error {
	whose := ""
	if way, err := decide(facts); err == nil && way.env != nil {
		whose = fmt.Sprintf(" of environment %q (decided by %s)", *way.env, way.decidedBy)
	}
	return &Error{code, fmt.Sprintf("Cannot %s%s: %s", what, whose, state), hint}
}

func isText(one *value, text string) bool { return one != nil && one.err == nil && one.text == text }

// isChanged tells whether the process may have it from a file that was read with $ or an escape expanded.
func isChanged(written *value, inProcess string) bool {
	if written == nil || written.err != nil {
		return written != nil
	}
	at := strings.IndexAny(written.text, "$\\'`")
	if at < 0 {
		return false
	}
	if inProcess != "" && strings.ContainsRune("'\"`", rune(inProcess[0])) { // it may keep the quote, too
		inProcess = inProcess[1:]
	}
	return strings.HasPrefix(inProcess, written.text[:at])
}

// ---- the system

// pattern compiles a regular expression when it is needed: to read one value, few are.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func textOf(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func isSame(one, other *string) bool {
	return (one == nil) == (other == nil) && (one == nil || *one == *other)
}

func contains(all []string, wanted string) bool {
	for _, one := range all {
		if one == wanted {
			return true
		}
	}
	return false
}

func join(parts ...string) string {
	path := strings.Join(parts, "/")
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}

func withoutEnd(path string) string {
	if short := strings.TrimRight(path, `/\`); short != "" {
		return short
	}
	return path
}

func resolved(directory, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(directory, path)
}

func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

func isSamePlace(one, other string) bool { return one == other || realPath(one) == realPath(other) }

func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "not a directory")
}

func unreadable(path string, err error) error {
	var inner *fs.PathError
	state := err.Error()
	if errors.As(err, &inner) {
		state = inner.Err.Error()
	}
	return &Error{"FILE_UNREADABLE", fmt.Sprintf("Cannot read %q: %s", path, state), "Check the file's permissions"}
}

// look gives the entry at a path; nil if nothing is there.
func look(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err == nil {
		return info, nil
	}
	if isAbsent(err) {
		return nil, nil
	}
	return nil, unreadable(path, err)
}

// readText gives the text of a file, with what is not UTF-8 replaced; nil if nothing is there.
func readText(path string) (*string, error) {
	info, err := look(path)
	if err != nil || info == nil {
		return nil, err
	}
	if !info.Mode().IsRegular() && !info.IsDir() { // it may never end, or hold up its reader for ever
		return nil, &Error{"FILE_UNREADABLE", fmt.Sprintf("Cannot read %q: it is a pipe or a device", path), "Check what is there"}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	text := string(bytes.ToValidUTF8(bytes.TrimPrefix(data, []byte("\ufeff")), []byte("\ufffd")))
	return &text, nil
}

// fileURL is the `file:` URL of an absolute path.
func fileURL(path string) string {
	if runtime.GOOS == "windows" && len(path) > 1 && path[1] == ':' {
		path = "/" + strings.ReplaceAll(path, `\`, "/")
	}
	var encoded strings.Builder
	for at := 0; at < len(path); at++ {
		sign := path[at]
		if isNameSign(sign) || strings.IndexByte(";,/:@&=+$!~*'()", sign) >= 0 {
			encoded.WriteByte(sign)
		} else {
			fmt.Fprintf(&encoded, "%%%02X", sign)
		}
	}
	return "file://" + encoded.String()
}
