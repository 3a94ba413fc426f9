package export_test

import (
	"strings"
	"testing"
	"time"

	"shoal/gateway/audit/export"
)

func TestValidate(t *testing.T) {
	hook := export.Config{Name: "a-b_1", Kind: export.Webhook, URL: "https://example.com/x", SecretFile: "s"}
	log := export.Config{Name: "a", Kind: export.Syslog, Address: "example.com:6514"}
	queue := export.Config{Name: "a", Kind: export.Kafka, Brokers: []string{"example.com:9093"}, Topic: "t"}
	for _, c := range []export.Config{hook, log, queue} {
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", c.Kind, err)
		}
	}
	for _, tt := range []struct {
		want   string
		of     export.Config
		change func(*export.Config)
	}{
		{"name:", hook, func(c *export.Config) { c.Name = "" }},
		{"name:", hook, func(c *export.Config) { c.Name = "../x" }},
		{"name:", hook, func(c *export.Config) { c.Name = "a.b" }},
		{"kind:", hook, func(c *export.Config) { c.Kind = "smtp" }},
		{"logs:", hook, func(c *export.Config) { c.Logs = []string{"access", "other"} }},
		{"twice", hook, func(c *export.Config) { c.Logs = []string{"access", "access"} }},
		{"timeout:", hook, func(c *export.Config) { c.Timeout = time.Millisecond }},
		{"give both", hook, func(c *export.Config) { c.CertFile = "x" }},
		{"allow-address:", hook, func(c *export.Config) { c.Allow = []string{"here"} }},
		{"url:", hook, func(c *export.Config) { c.URL = "example.com" }},
		{"url:", hook, func(c *export.Config) { c.URL = "ftp://example.com" }},
		{"url:", hook, func(c *export.Config) { c.URL = "https://user:pass@example.com" }},
		{"plaintext = true", hook, func(c *export.Config) { c.URL = "http://example.com" }},
		{"secret-file:", hook, func(c *export.Config) { c.SecretFile = "" }},
		{"body:", hook, func(c *export.Config) { c.Body = "xml" }},
		{"address is for syslog", hook, func(c *export.Config) { c.Address = "x:1" }},
		{"topic is for kafka", log, func(c *export.Config) { c.Topic = "x" }},
		{"url is for webhook", log, func(c *export.Config) { c.URL = "https://x" }},
		{"address:", log, func(c *export.Config) { c.Address = "example.com" }},
		{"TLS alone", log, func(c *export.Config) { c.Plaintext = true }},
		{"broker:", queue, func(c *export.Config) { c.Brokers = nil }},
		{"broker:", queue, func(c *export.Config) { c.Brokers = []string{"x"} }},
		{"topic:", queue, func(c *export.Config) { c.Topic = "" }},
		{"sasl:", queue, func(c *export.Config) { c.SASL, c.SASLUser, c.SASLPasswordFile = "gssapi", "u", "p" }},
		{"all or none", queue, func(c *export.Config) { c.SASL = export.SASLPlain }},
		{"takes TLS", queue, func(c *export.Config) {
			c.SASL, c.SASLUser, c.SASLPasswordFile, c.Plaintext = export.SASLPlain, "u", "p", true
		}},
	} {
		c := tt.of
		tt.change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "pass@") {
			t.Errorf("%s, %+v: %v", tt.want, c, err)
		}
	}
}

// Files that cannot serve are found before anything is sent.
func TestOpenRefuses(t *testing.T) {
	good := writeFile(t, "secret", testSecret, 0o600)
	for _, tt := range []struct {
		want   string
		change func(*export.Config)
	}{
		{"no such file", func(c *export.Config) { c.SecretFile = "/nowhere" }},
		{"chmod 600", func(c *export.Config) { c.SecretFile = writeFile(t, "secret", testSecret, 0o644) }},
		{"less than 16 bytes", func(c *export.Config) { c.SecretFile = writeFile(t, "secret", "short\n", 0o600) }},
		{"no certificate", func(c *export.Config) { c.CAFile = good }},
		{"cert-file", func(c *export.Config) { c.CertFile, c.KeyFile = good, good }},
	} {
		c := export.Config{Name: "a", Kind: export.Webhook, URL: "https://example.com", SecretFile: good}
		tt.change(&c)
		if _, err := c.Open(); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), testSecret) {
			t.Errorf("%s: %v", tt.want, err)
		}
	}
}
