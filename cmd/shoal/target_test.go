package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"shoal/gateway/audit"
	"shoal/gateway/audit/export"
)

const targetsFile = `
audit-full = "shed"

[[audit.target]]
name = "hook"
kind = "webhook"
url = "https://collector.example.org/in"
secret-file = "/etc/shoal/hook.secret"
log = "acts"
full = "shed"
queue = "2GiB"
timeout = "3s"

[[audit.target]]
name = "events"
kind = "kafka"
broker = ["a.example.org:9093", "b.example.org:9093"]
topic = "audit"
log = ["access", "acts"]
sasl = "scram-sha-512"
sasl-user = "shoal"
sasl-password-file = "p"
allow-address = ["127.0.0.1"]
plaintext = true
`

func TestTargetsOfFile(t *testing.T) {
	for _, p := range []part{partServer, partNode, partGateway, partAdmin} {
		s, err := loaded(t, p, targetsFile, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := []export.Config{
			{Name: "hook", Kind: export.Webhook, Logs: []string{"acts"}, QueueBytes: 2 << 30, Full: audit.Shed, Timeout: 3 * time.Second,
				URL: "https://collector.example.org/in", SecretFile: "/etc/shoal/hook.secret", Body: export.BodyLines},
			{Name: "events", Kind: export.Kafka, Logs: []string{"access", "acts"}, QueueBytes: 1 << 30, Timeout: 10 * time.Second, Allow: []string{"127.0.0.1"},
				Plaintext: true, Brokers: []string{"a.example.org:9093", "b.example.org:9093"}, Topic: "audit", SASL: export.SASLSHA512, SASLUser: "shoal", SASLPasswordFile: "p"},
		}
		if !reflect.DeepEqual(s.targets, want) || s.auditFull != fullShed {
			t.Errorf("part %d: %+v", p, s.targets)
		}
	}
}

func TestTargetProblemsAreReported(t *testing.T) {
	const good = "name = \"a\"\nkind = \"syslog\"\naddress = \"x:1\"\n"
	for _, tt := range []struct{ file, want string }{
		{"[audit]\ntarget = 1", "write [[audit.target]]"},
		{"audit = 1", "write [[audit.target]]"},
		{"[audit.targets]\nname = \"a\"", "audit.targets is not a known key"},
		{"[[audit.target]]\nnmae = \"a\"\nkind = \"syslog\"", "audit.target 1: nmae is not a known key; did you mean name?"},
		{"[[audit.target]]\n" + good + "queue = \"much\"", `queue: "much"`},
		{"[[audit.target]]\n" + good + "[audit.target.tls]\nca = \"x\"", "tls is not a known key"},
		{"[[audit.target]]\n" + good + "queue = \"1MiB\"", "less than a file of the log, 64MiB"},
		{"[[audit.target]]\n" + good + "full = \"drop\"", `"drop" is neither block nor shed`},
		{"[[audit.target]]\n" + good + "body = \"array\"", "body is for webhook"},
		{"[[audit.target]]\n" + good + "[[audit.target]]\n" + good, "there are two of that name"},
		{"[[audit.target]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"https://x/TOKEN\"", "secret-file: name the file"},
		{"[[audit.target]]\n" + good + "log = [1]", "takes a list of strings"},
	} {
		_, err := loaded(t, partServer, tt.file, nil, nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "TOKEN") {
			t.Errorf("%s\ngives %v, want %s", tt.file, err, tt.want)
		}
	}
	if _, err := loaded(t, partServer, "", []string{"SHOAL_AUDIT_TARGET=x"}, nil); err == nil {
		t.Error("a variable set a target")
	}
}
