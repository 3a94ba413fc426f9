package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"shoal/gateway/audit"
	"shoal/gateway/audit/export"
)

const (
	// auditTable and targetTables are the keys of shoal.toml under which targets stand: [[audit.target]].
	auditTable   = "audit"
	targetTables = "target"
)

// targetKey is one key of a target. Targets are in the file alone: a flag or a variable holds no table.
type targetKey struct {
	name string
	bind func(f *pflag.FlagSet, t *targetSettings, name string)
}

// targetSettings is a target as the file has it.
type targetSettings struct {
	export.Config
	kind, full string
	queue      byteCount
}

// targetKeys lists every key of a target. docs/config.lock is made from it.
var targetKeys = []targetKey{
	{"name", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.StringVar(&t.Name, n, "", "name of the target, of letters, digits, - and _; what it has got is kept under it")
	}},
	{"kind", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.StringVar(&t.kind, n, "", "protocol: webhook, syslog, kafka")
	}},
	{"log", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.Var((*list)(&t.Logs), n, "logs whose records it gets: access, acts; empty is both")
	}},
	{"queue", func(f *pflag.FlagSet, t *targetSettings, n string) {
		t.queue = 1 << 30
		f.Var(&t.queue, n, "size of what may wait for it of each log; at least --audit-file-size")
	}},
	{"full", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.StringVar(&t.full, n, fullBlock, "what happens when that much waits: block answers requests with 503 SlowDown, shed skips the oldest records and records that")
	}},
	{"timeout", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.DurationVar(&t.Timeout, n, 10*time.Second, "time that an attempt may take, from 1s to 5m")
	}},
	{"allow-address", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.Var((*list)(&t.Allow), n, "addresses or CIDR blocks that it may have although they are loopback, link-local or the like; empty is none")
	}},
	{"plaintext", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.BoolVar(&t.Plaintext, n, false, "connect without TLS; syslog never does")
	}},
	{"ca-file", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.StringVar(&t.CAFile, n, "", "file with the certificates that its certificate is signed with, PEM; empty is those of the system")
	}},
	{"cert-file", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.StringVar(&t.CertFile, n, "", "file with the certificate that it is shown, PEM; empty is none")
	}},
	{"key-file", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.StringVar(&t.KeyFile, n, "", "file with the key of cert-file, PEM, mode 0600")
	}},
	{"url", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.StringVar(&t.URL, n, "", "of a webhook: where records are posted, https://HOST/PATH")
	}},
	{"secret-file", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.StringVar(&t.SecretFile, n, "", "of a webhook: file with the secret of the signatures, from 16 bytes on, mode 0600")
	}},
	{"body", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.StringVar(&t.Body, n, export.BodyLines, "of a webhook: form of the body, lines or array")
	}},
	{"address", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.StringVar(&t.Address, n, "", "of a syslog server: host:port")
	}},
	{"broker", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.Var((*list)(&t.Brokers), n, "of Kafka: host:port of brokers")
	}},
	{"topic", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.StringVar(&t.Topic, n, "", "of Kafka: the topic, which must be there")
	}},
	{"sasl", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.StringVar(&t.SASL, n, "", "of Kafka: plain, scram-sha-256 or scram-sha-512; empty is none")
	}},
	{"sasl-user", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.StringVar(&t.SASLUser, n, "", "of Kafka: name of the user")
	}},
	{"sasl-password-file", func(f *pflag.FlagSet, t *targetSettings, n string) {
		f.StringVar(&t.SASLPasswordFile, n, "", "of Kafka: file with the user's password, mode 0600")
	}},
}

// targetFlags binds every key to t and sets t to the defaults.
func targetFlags(t *targetSettings) *pflag.FlagSet {
	f := pflag.NewFlagSet("target", pflag.ContinueOnError)
	f.SortFlags = false
	for _, k := range targetKeys {
		k.bind(f, t, k.name)
	}
	return f
}

// applyAudit takes the table [audit] of the file, which holds targets.
func (l *loader) applyAudit(path string, value any) (errs []error) {
	table, ok := value.(map[string]any)
	if !ok {
		return []error{fmt.Errorf("%s: %s holds tables: write [[%s.%s]]", path, auditTable, auditTable, targetTables)}
	}
	for _, name := range sortedKeys(table) {
		if name != targetTables {
			errs = append(errs, fmt.Errorf("%s: %s.%s is not a known key; did you mean [[%s.%s]]?", path, auditTable, name, auditTable, targetTables))
			continue
		}
		entries, ok := table[name].([]any)
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s.%s is a list of tables: write [[%s.%s]]", path, auditTable, name, auditTable, targetTables))
		}
		for i, entry := range entries {
			source := fmt.Sprintf("%s: %s.%s %d", path, auditTable, name, i+1)
			t, more := readTarget(source, entry)
			if errs = append(errs, more...); len(more) == 0 {
				l.s.targets = append(l.s.targets, t)
			}
		}
	}
	return errs
}

// readTarget reads one table.
func readTarget(source string, entry any) (c export.Config, errs []error) {
	table, ok := entry.(map[string]any)
	if !ok {
		return c, []error{fmt.Errorf("%s is not a table", source)}
	}
	var t targetSettings
	flags := targetFlags(&t)
	for _, name := range sortedKeys(table) {
		flag := flags.Lookup(name)
		if flag == nil {
			errs = append(errs, fmt.Errorf("%s: %s is not a known key; did you mean %s?", source, name, nearest(name, targetNames())))
			continue
		}
		values, err := scalars(flag, table[name])
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", source, name, err))
		}
		flag.Changed = true
		for _, v := range values {
			if err := flag.Value.Set(v); err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %w", source, name, err))
			}
		}
	}
	if len(errs) > 0 {
		return c, errs
	}
	t.Kind, t.QueueBytes = export.Kind(t.kind), int64(t.queue)
	switch t.full {
	case fullBlock:
	case fullShed:
		t.Full = audit.Shed
	default:
		errs = append(errs, fmt.Errorf("%s: full: %q is neither %s nor %s", source, t.full, fullBlock, fullShed))
	}
	if t.Kind != export.Webhook && !flags.Lookup("body").Changed {
		t.Body = ""
	}
	if err := t.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("%s: %w", source, err))
	}
	return t.Config, errs
}

func targetNames() (names []string) {
	for _, k := range targetKeys {
		names = append(names, k.name)
	}
	return names
}

// validateTargets checks what targets have to do with each other and with the logs.
func (s *settings) validateTargets() error {
	var errs []error
	for i := range s.targets {
		t := &s.targets[i]
		if slices.ContainsFunc(s.targets[:i], func(o export.Config) bool { return o.Name == t.Name }) {
			errs = append(errs, fmt.Errorf("audit target %q: there are two of that name", t.Name))
		}
		if t.QueueBytes < int64(s.auditFileSize) {
			errs = append(errs, fmt.Errorf("audit target %q: queue: %v is less than a file of the log, %v by audit-file-size", t.Name, formatExact(t.QueueBytes), &s.auditFileSize))
		}
	}
	return errors.Join(errs...)
}

// lockTargets lists the keys of a target for docs/config.lock.
func lockTargets(b *strings.Builder) {
	fmt.Fprintf(b, "# Keys of [[%s.%s]], a table of shoal.toml for each target of server, node and gateway.\n# key = default | meaning\n", auditTable, targetTables)
	var t targetSettings
	targetFlags(&t).VisitAll(func(f *pflag.Flag) {
		fmt.Fprintf(b, "%s.%s.%s = %q | %s\n", auditTable, targetTables, f.Name, f.DefValue, f.Usage)
	})
}
