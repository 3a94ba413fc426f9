package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shoal/gateway/audit"
	"shoal/gateway/audit/export"
	"shoal/gateway/edge"
	"shoal/node/api"
)

// CertificatePair names the files of a certificate chain and of its key.
type CertificatePair = edge.Pair

// ACMEConfig says which certificates are obtained, and of whom.
type ACMEConfig = edge.ACMEConfig

// Config is what a gateway is made of. A field's zero value means its default.
type Config struct {
	// S3Addr is the host:port of the S3 API; "" serves none.
	S3Addr string
	// AdminAddr is the host:port of management (health, metrics, admin); "" serves none.
	AdminAddr string
	// Domains are the names under which buckets are hosts ("s3.example.org" makes
	// "photos.s3.example.org" the bucket photos).
	Domains []string
	// Region is what clients sign for. Default us-east-1.
	Region string

	// The store. Required where S3Addr is given.
	Buckets api.Buckets
	Objects api.Objects
	Uploads api.Uploads
	// Versions is versioning, object lock and tags.
	Versions api.Versions
	// Credentials is required.
	Credentials api.Credentials
	// Identities are users, groups and policies. Required.
	Identities api.Identities
	// Sessions makes and opens temporary credentials. Nil has none.
	Sessions api.Sessions
	// KeyUses hears which access keys were used. Nil is told nothing.
	KeyUses api.KeyUses
	// Health and Admin are required where AdminAddr is given.
	Health api.Health
	Admin  api.Admin
	// OnSettings is told the settings when they are known and when they have changed. May be nil.
	OnSettings func([]api.Setting)

	// Logger gets everything but access records. Default: nothing is logged.
	Logger *slog.Logger
	// Logs says where and how the access log and the log of acts are written; without a Dir there are
	// none. The gateway fills in the name, who writes and signs, the clock and the like, and syncs the log of acts
	// always.
	Logs audit.Config
	// Targets get the records of the logs as well.
	Targets []export.Config
	// Witnesses are told what the logs have come to, and tell of theirs; nil are none, and then Logs
	// says who writes.
	Witnesses api.Witnesses
	// Registerer takes the gateway's metrics, Gatherer gives those of the process.
	// Defaults: a registry of the gateway's own.
	Registerer prometheus.Registerer
	Gatherer   prometheus.Gatherer

	// Certificates are PEM files. With them the S3 API speaks TLS, and so does management on an address that
	// is not loopback. They are chosen by the name that a client asks for; the first is for the others.
	Certificates []CertificatePair
	// AdminCertificates are those of management, which then speaks TLS on every address.
	AdminCertificates []CertificatePair
	// MetricsTokenFile holds what gives metrics to who brings it from another machine; "" is none.
	MetricsTokenFile string
	// ACME obtains certificates of the S3 API beside those; nil none. The gateway fills in logger and clock, and
	// HTTP.
	ACME *ACMEConfig
	// ACMEHTTPAddr is the host:port, plain HTTP, at which names are proven by HTTP-01; "" proves them by
	// TLS-ALPN-01 at the S3 API.
	ACMEHTTPAddr string
	// ClientCAs are PEM files with the certificates that vouch for those of clients of the S3 API, who may then have a
	// session by theirs; nil asks no client for one.
	ClientCAs []string
	// InsecureHTTP allows plain HTTP on addresses that others can reach.
	InsecureHTTP bool
	// TrustedProxies are addresses and CIDR blocks of proxies that are believed about where requests come
	// from. They write ProxyHeader: "X-Forwarded-For" (the default), or "Forwarded".
	TrustedProxies []string
	ProxyHeader    string
	// ProxyProtocol lists the listeners, of "s3" and "admin", at which connections of trusted proxies begin
	// with a header of the PROXY protocol.
	ProxyProtocol []string
	// Limits bound what clients may take.
	Limits edge.Limits
	// OpenFiles is how many files the process may have open, 0 for any number. Clients get half of
	// them at most, unless Limits say otherwise, so that they cannot keep the store from its files.
	OpenFiles uint64
	// DrainTimeout is how long requests in flight may go on after Run's context ended.
	// Default 20 s.
	DrainTimeout time.Duration
	// Release is told to operators, never to S3 clients.
	Release string
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

const (
	defaultRegion = "us-east-1"
	defaultDrain  = 20 * time.Second
	// connectionsMin is how many connections there may be, however few files.
	connectionsMin = 64
	// targetsMax bounds the targets of the logs, and with them the labels of metrics.
	targetsMax   = 16
	s3Flag       = "--s3"
	adminFlag    = "--admin"
	acmeHTTPFlag = "--acme-http"

	// Names of the listeners, in settings and metrics.
	listenerS3    = "s3"
	listenerAdmin = "admin"
)

// Validate reports every problem of the configuration at once.
func (c *Config) Validate() error {
	errs := c.Limits.Validate()
	need := func(ok bool, text string) {
		if !ok {
			errs = append(errs, errors.New(text))
		}
	}
	need(c.S3Addr != "" || c.AdminAddr != "", "neither an S3 nor an admin address is given")
	need(c.Credentials != nil, "no source of credentials is given")
	need(c.Identities != nil, "no source of users is given")
	need(c.S3Addr == "" || c.Buckets != nil && c.Objects != nil && c.Uploads != nil && c.Versions != nil, "the S3 API needs a store")
	need(c.AdminAddr == "" || c.Health != nil && c.Admin != nil, "management needs health and admin")
	for _, p := range slices.Concat(c.Certificates, c.AdminCertificates) {
		need(p.CertFile != "" && p.KeyFile != "", "TLS needs both --tls-cert and --tls-key")
	}
	need(c.ACME == nil || c.ACME.Items != nil && c.S3Addr != "", "ACME needs a store and the S3 API")
	need(c.ACME != nil || c.ACMEHTTPAddr == "", "--acme-http needs --acme-domain")
	need(len(c.ClientCAs) == 0 || len(c.Certificates) > 0 || c.ACME != nil, "--tls-client-ca needs TLS: give --tls-cert and --tls-key, or --acme-domain")
	_, err := edge.ParsePrefixes(c.TrustedProxies)
	need(err == nil, fmt.Sprintf("--trusted-proxy: %v", err))
	need(c.ProxyHeader == "" || c.ProxyHeader == edge.HeaderXForwardedFor || c.ProxyHeader == edge.HeaderForwarded,
		fmt.Sprintf("--proxy-header: %q is neither %s nor %s", c.ProxyHeader, edge.HeaderXForwardedFor, edge.HeaderForwarded))
	for _, l := range c.ProxyProtocol {
		need(l == listenerS3 || l == listenerAdmin, fmt.Sprintf("--proxy-protocol: %q is neither %s nor %s", l, listenerS3, listenerAdmin))
	}
	need(len(c.ProxyProtocol) == 0 || len(c.TrustedProxies) > 0, "--proxy-protocol needs --trusted-proxy: nobody else's header is believed")
	errs = append(errs, c.validateTargets()...)
	need(c.DrainTimeout >= 0, "drain timeout must not be negative")
	for _, d := range c.Domains {
		need(validDomain(d), fmt.Sprintf("domain %q is not a host name without port", d))
	}
	return errors.Join(errs...)
}

// validateTargets reports what is wrong with the targets of the logs.
func (c *Config) validateTargets() (errs []error) {
	if len(c.Targets) > targetsMax {
		errs = append(errs, fmt.Errorf("there are %d targets for records, and may be %d", len(c.Targets), targetsMax))
	}
	for i := range c.Targets {
		t := &c.Targets[i]
		if err := t.Validate(); err != nil {
			errs = append(errs, err)
		}
		if slices.ContainsFunc(c.Targets[:i], func(o export.Config) bool { return o.Name == t.Name }) {
			errs = append(errs, fmt.Errorf("audit target %q: there are two of that name", t.Name))
		}
		if t.QueueBytes != 0 && t.QueueBytes < c.Logs.FileBytesMax {
			errs = append(errs, fmt.Errorf("audit target %q: queue: it must hold a file of the log, whose size is set by --audit-file-size", t.Name))
		}
	}
	return errs
}

func validDomain(d string) bool {
	return d != "" && len(d) <= 253 && net.ParseIP(d) == nil && !strings.ContainsAny(d, ":/ \t*") &&
		!strings.HasPrefix(d, ".") && !strings.HasSuffix(d, ".")
}

func (c Config) withDefaults() Config {
	if c.Region == "" {
		c.Region = defaultRegion
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = defaultDrain
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if half := c.OpenFiles / 2; c.Limits.ConnectionsMax == 0 && c.OpenFiles > 0 && half < edge.ConnectionsMax {
		c.Limits.ConnectionsMax = max(int(half), connectionsMin)
	}
	if c.Registerer == nil {
		own := prometheus.NewRegistry()
		c.Registerer = own
		if c.Gatherer == nil {
			c.Gatherer = own
		}
	}
	if c.Gatherer == nil {
		c.Gatherer = prometheus.DefaultGatherer
	}
	return c
}
