package export

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"shoal/gateway/audit"
	"shoal/gateway/edge"
	"shoal/node/api"
)

// Kind is the protocol of a target.
type Kind string

// Kinds of targets.
const (
	Webhook Kind = "webhook" // HTTP POST
	Syslog  Kind = "syslog"  // RFC 5424 over TLS
	Kafka   Kind = "kafka"
)

// Bodies of webhooks.
const (
	BodyLines = "lines" // a JSON object a line
	BodyArray = "array" // an array of JSON objects
)

// SASL mechanisms.
const (
	SASLPlain  = "plain"
	SASLSHA256 = "scram-sha-256"
	SASLSHA512 = "scram-sha-512"
)

// Config is one target. A zero value means the default.
type Config struct {
	// Name is that of the target, of letters, digits, - and _. Required.
	Name string
	// Kind is the target's protocol. Required.
	Kind Kind
	// Logs are those whose records it gets. Default all.
	Logs []string
	// QueueBytes bounds what waits for it of each log, in bytes. Default 1 GiB.
	QueueBytes int64
	// Full says what happens at that bound. Default audit.Block.
	Full audit.Full
	// Allow are CIDR blocks of addresses that may be connected to although such addresses are refused.
	Allow []string
	// Timeout bounds one attempt. Default 10 s, from 1 s to 5 min.
	Timeout time.Duration
	// Plaintext allows a connection without TLS.
	Plaintext bool
	// CAFile holds the certificates that the other side's is signed with, PEM. Default those of the system.
	CAFile string
	// CertFile and KeyFile are the certificate that the target is told of the client, PEM; none by default.
	CertFile, KeyFile string

	// URL is where a webhook is. Required of one.
	URL string
	// SecretFile holds the secret that requests of a webhook are signed with, from 16 bytes on. Required of one.
	SecretFile string
	// Body is BodyLines, the default, or BodyArray.
	Body string

	// Address is the host:port of a syslog server. Required of one.
	Address string

	// Brokers are host:port of Kafka brokers, and Topic is what is written to. Required of Kafka.
	Brokers []string
	Topic   string
	// SASL is the mechanism by which SASLUser and the password in SASLPasswordFile are shown; none by default.
	SASL, SASLUser, SASLPasswordFile string
}

const (
	defaultTimeout = 10 * time.Second
	timeoutMin     = time.Second
	timeoutMax     = 5 * time.Minute
	// secretBytesMin is the least length of a secret for signatures, in bytes.
	secretBytesMin = 16
)

// Validate reports every problem that can be seen without reading a file.
func (c *Config) Validate() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("audit target %q: %s", c.Name, fmt.Sprintf(format, args...)))
		}
	}
	need(audit.ValidTargetName(c.Name), "name: give one of at most 64 letters, digits, - and _")
	for i, l := range c.Logs {
		need(l == audit.AccessLog || l == audit.ActLog, "logs: %q is neither %s nor %s", l, audit.AccessLog, audit.ActLog)
		need(!slices.Contains(c.Logs[:i], l), "logs: %s is there twice", l)
	}
	need(c.Timeout == 0 || c.Timeout >= timeoutMin && c.Timeout <= timeoutMax, "timeout: %v is not within %v to %v", c.Timeout, timeoutMin, timeoutMax)
	need((c.CertFile == "") == (c.KeyFile == ""), "cert-file and key-file: give both")
	for _, a := range c.Allow {
		_, err := api.ParsePrefix(a)
		need(err == nil, "allow-address: %v", err)
	}
	own := map[Kind]func(func(bool, string, ...any)){Webhook: c.validateWebhook, Syslog: c.validateSyslog, Kafka: c.validateKafka}[c.Kind]
	need(own != nil, "kind: %q is none of %s, %s, %s", c.Kind, Webhook, Syslog, Kafka)
	if own != nil {
		own(need)
	}
	for _, o := range []struct {
		kind Kind
		key  string
		set  bool
	}{
		{Webhook, "url", c.URL != ""}, {Webhook, "secret-file", c.SecretFile != ""}, {Webhook, "body", c.Body != ""}, {Syslog, "address", c.Address != ""},
		{Kafka, "broker", len(c.Brokers) > 0}, {Kafka, "topic", c.Topic != ""}, {Kafka, "sasl", c.SASL != ""}, {Kafka, "sasl-user", c.SASLUser != ""}, {Kafka, "sasl-password-file", c.SASLPasswordFile != ""},
	} {
		need(own == nil || !o.set || o.kind == c.Kind, "%s is for %s", o.key, o.kind)
	}
	return errors.Join(errs...)
}

func (c *Config) validateWebhook(need func(bool, string, ...any)) {
	u, err := url.Parse(c.URL)
	ok := err == nil && u.Host != "" && u.User == nil && u.Fragment == "" && (u.Scheme == "https" || u.Scheme == "http")
	need(ok, "url: give https://HOST/PATH, without a user") // what was given may hold a token
	need(!ok || u.Scheme == "https" || c.Plaintext, "url: without TLS it takes plaintext = true")
	need(c.SecretFile != "", "secret-file: name the file that holds the secret for signatures")
	need(c.Body == "" || c.Body == BodyLines || c.Body == BodyArray, "body: %q is neither %s nor %s", c.Body, BodyLines, BodyArray)
}

func (c *Config) validateSyslog(need func(bool, string, ...any)) {
	need(validAddress(c.Address), "address: %q is not host:port", c.Address)
	need(!c.Plaintext, "plaintext: syslog is sent over TLS alone")
}

func (c *Config) validateKafka(need func(bool, string, ...any)) {
	need(len(c.Brokers) > 0, "broker: name at least one, host:port")
	for _, b := range c.Brokers {
		need(validAddress(b), "broker: %q is not host:port", b)
	}
	need(c.Topic != "", "topic: name one")
	need(c.SASL == "" || c.SASL == SASLPlain || c.SASL == SASLSHA256 || c.SASL == SASLSHA512, "sasl: %q is none of %s, %s, %s", c.SASL, SASLPlain, SASLSHA256, SASLSHA512)
	need((c.SASL == "") == (c.SASLUser == "") && (c.SASL == "") == (c.SASLPasswordFile == ""), "sasl, sasl-user and sasl-password-file: give all or none")
	need(c.SASL != SASLPlain || !c.Plaintext, "sasl: %s shows the password to who listens, so it takes TLS", SASLPlain)
}

func validAddress(a string) bool {
	host, port, err := net.SplitHostPort(a)
	return err == nil && host != "" && port != ""
}

// WantsLog says whether records of a log go there.
func (c *Config) WantsLog(log string) bool { return len(c.Logs) == 0 || slices.Contains(c.Logs, log) }

// Open makes the target. It reads the files that the configuration names, and connects to nothing.
func (c Config) Open() (audit.Target, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	t, err := c.open()
	if err != nil {
		return nil, fmt.Errorf("audit target %q: %w", c.Name, err)
	}
	return t, nil
}

func (c *Config) open() (audit.Target, error) {
	secure, err := c.tls()
	if err != nil {
		return nil, err
	}
	var allow []netip.Prefix
	for _, a := range c.Allow {
		p, err := api.ParsePrefix(a)
		if err != nil {
			return nil, err
		}
		allow = append(allow, p)
	}
	dial := dialer(c.Timeout, allow)
	switch c.Kind {
	case Webhook:
		return newWebhook(c, dial, secure)
	case Syslog:
		return newSyslog(c, dial, secure)
	default:
		return newKafka(c, dial, secure)
	}
}

// tls is how the other side is known, and how it knows the client.
func (c *Config) tls() (*tls.Config, error) {
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		text, err := edge.ReadFile(c.CAFile, false)
		if err != nil {
			return nil, fmt.Errorf("ca-file: %w", err)
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("ca-file: %s holds no certificate in PEM", c.CAFile)
		}
	}
	if c.CertFile != "" {
		key, err := edge.ReadFile(c.KeyFile, true)
		if err != nil {
			return nil, fmt.Errorf("key-file: %w", err)
		}
		text, err := edge.ReadFile(c.CertFile, false)
		if err != nil {
			return nil, fmt.Errorf("cert-file: %w", err)
		}
		cert, err := tls.X509KeyPair(text, key)
		if err != nil {
			return nil, fmt.Errorf("cert-file and key-file: %w", err)
		}
		secure.Certificates = []tls.Certificate{cert}
	}
	return secure, nil
}
