package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"shoal/gateway"
	"shoal/gateway/audit/export"
)

// part is a command that takes settings; parts are a set of them.
type part uint8

const (
	partServer part = 1 << iota
	partNode
	partGateway
	partAdmin

	storing  = partServer | partNode    // keeps data
	serving  = partServer | partGateway // answers S3
	running  = storing | serving
	anything = running | partAdmin
)

// settings are the values of all keys once file, environment and flags are read.
type settings struct {
	data            string
	s3              string
	admin           string
	p2p             string
	p2pBulk         string
	p2pJoin         string
	drives          []string
	erasure         string
	domains         []string
	region          string
	site            string
	join            string
	token           string
	mdns            bool
	relayOnly       bool
	announce        []string
	partitions      int
	insecureHTTP    bool
	tlsCert         []string
	tlsKey          []string
	adminTLSCert    []string
	adminTLSKey     []string
	metricsToken    string
	tlsClientCA     []string
	acmeDomain      []string
	acmeDirectory   string
	acmeEmail       string
	acmeTerms       bool
	acmeCA          string
	acmeHTTP        string
	trustedProxy    []string
	proxyHeader     string
	proxyProtocol   []string
	degraded        bool
	acceptLogLoss   bool
	ignorePeerRules bool
	orphanGrace     time.Duration
	scrubPeriod     time.Duration
	buffer          byteCount
	cache           byteCount
	grace           time.Duration
	logLevel        string
	logFormat       string
	credentials     string
	auditFull       string
	auditSync       bool
	auditFileSize   byteCount
	auditFileAge    time.Duration
	auditKeepSize   byteCount
	auditKeepAge    time.Duration
	auditEvery      time.Duration
	targets         []export.Config
}

// key is one setting: a flag, a key of shoal.toml and a SHOAL_* variable of one name.
type key struct {
	name  string
	parts part
	bind  func(f *pflag.FlagSet, s *settings, name string)
}

// keys lists every setting. docs/config.lock is made from it.
var keys = []key{
	{"data", anything, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.data, n, "data", "`directory` of identity, keys, metadata, logs and the first drive")
	}},
	{"s3", serving, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.s3, n, "127.0.0.1:9000", "`address` of the S3 API, host:port; other than loopback needs TLS or --insecure-http")
	}},
	{"admin", anything, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.admin, n, "127.0.0.1:9001", "`address` of management: admin API, metrics, health")
	}},
	{"p2p", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.p2p, n, "", "`address` for peers, host:port; empty is :4001, or any free port of loopback for a gateway")
	}},
	{"p2p-bulk", storing, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.p2pBulk, n, "", "`address` for peers' shard transfers; empty is the port after that of --p2p")
	}},
	{"p2p-join", storing, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.p2pJoin, n, "", "`address` at which peers join; empty is the second port after that of --p2p")
	}},
	{"drive", storing, func(f *pflag.FlagSet, s *settings, n string) {
		f.Var((*list)(&s.drives), n, "`directory` that holds shards, one per disk; repeat for more; empty is DATA/drives/0")
	}},
	{"erasure", storing, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.erasure, n, "", "data and parity shards of a chunk as `k+m`; empty is chosen by the number of drives")
	}},
	{"domain", serving, func(f *pflag.FlagSet, s *settings, n string) {
		f.Var((*list)(&s.domains), n, "`name` under which BUCKET.name addresses a bucket; repeat for more")
	}},
	{"region", anything, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.region, n, "us-east-1", "`name` of the region that signatures carry")
	}},
	{"site", storing, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.site, n, "", "`name` of the site this node stands in; empty is default, or that of the invitation")
	}},
	{"join", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.join, n, "", "`token` from shoal admin invite, or /ip4/ADDRESS/tcp/PORT/p2p/PEERID of a member's join listener; used by the first start")
	}},
	{"token", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.token, n, "", "`token` beside an address in --join; without one a member must have allowed this peer ID")
	}},
	{"mdns", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.BoolVar(&s.mdns, n, false, "look for members on the local network too")
	}},
	{"relay-only", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.BoolVar(&s.relayOnly, n, false, "reach the cluster through other members: no peer can dial this one")
	}},
	{"announce", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.Var((*list)(&s.announce), n, "`address` that peers are told, such as /ip4/192.0.2.1/tcp/4001; repeat for more; empty is where it listens")
	}},
	{"partitions", storing, func(f *pflag.FlagSet, s *settings, n string) {
		f.IntVar(&s.partitions, n, 16, "metadata groups for buckets, 1 to 256; fixed when the cluster is made")
	}},
	{"insecure-http", serving, func(f *pflag.FlagSet, s *settings, n string) {
		f.BoolVar(&s.insecureHTTP, n, false, "serve S3 without TLS on an address that is not loopback")
	}},
	{"tls-cert", serving, func(f *pflag.FlagSet, s *settings, n string) {
		f.Var((*list)(&s.tlsCert), n, "`file` with a certificate chain of the S3 API, PEM; repeat for more names; the first is for all others")
	}},
	{"tls-key", serving, func(f *pflag.FlagSet, s *settings, n string) {
		f.Var((*list)(&s.tlsKey), n, "`file` with the key of the --tls-cert of the same place, PEM, mode 0600")
	}},
	{"admin-tls-cert", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.Var((*list)(&s.adminTLSCert), n, "`file` with a certificate chain of management, PEM; repeat for more names; empty is that of --tls-cert, and plain HTTP on loopback")
	}},
	{"admin-tls-key", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.Var((*list)(&s.adminTLSKey), n, "`file` with the key of the --admin-tls-cert of the same place, PEM, mode 0600")
	}},
	{"metrics-token-file", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.metricsToken, n, "", "`file` with a token, 16 bytes or more, mode 0600, that scrapers on other machines send for /metrics as Authorization: Bearer; empty is none")
	}},
	{"tls-client-ca", serving, func(f *pflag.FlagSet, s *settings, n string) {
		f.Var((*list)(&s.tlsClientCA), n, "`file` with certificates, PEM, that vouch for those of clients of the S3 API, who get sessions by theirs; repeat for more; empty asks clients for none")
	}},
	{"acme-domain", serving, func(f *pflag.FlagSet, s *settings, n string) {
		f.Var((*list)(&s.acmeDomain), n, "host `name` for which a certificate of the S3 API is obtained by ACME, shared by all gateways; repeat for more; empty is none")
	}},
	{"acme-directory", serving, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.acmeDirectory, n, "", "https `URL` of the ACME server's directory; empty is https://acme-v02.api.letsencrypt.org/directory")
	}},
	{"acme-email", serving, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.acmeEmail, n, "", "mail `address` that the ACME server is told; empty is none")
	}},
	{"acme-accept-terms", serving, func(f *pflag.FlagSet, s *settings, n string) {
		f.BoolVar(&s.acmeTerms, n, false, "agree to the terms of service of the ACME server")
	}},
	{"acme-ca", serving, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.acmeCA, n, "", "`file` with the certificates that vouch for the ACME server itself, PEM; empty takes those of the system")
	}},
	{"acme-http", serving, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.acmeHTTP, n, "", "`address` for plain HTTP, such as :80, at which names are proven by HTTP-01; empty proves them by TLS-ALPN-01 at --s3")
	}},
	{"trusted-proxy", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.Var((*list)(&s.trustedProxy), n, "`address` or CIDR block of a proxy that is believed about where requests come from; repeat for more; empty is none")
	}},
	{"proxy-header", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.proxyHeader, n, "X-Forwarded-For", "`header` in which trusted proxies say so: X-Forwarded-For, with X-Forwarded-Proto beside it, or Forwarded")
	}},
	{"proxy-protocol", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.Var((*list)(&s.proxyProtocol), n, "`listener`, s3 or admin, at which connections of trusted proxies begin with a PROXY header; repeat for more; empty is none")
	}},
	{"degraded", storing, func(f *pflag.FlagSet, s *settings, n string) {
		f.BoolVar(&s.degraded, n, false, "start although drives are missing")
	}},
	{"accept-log-loss", storing, func(f *pflag.FlagSet, s *settings, n string) {
		f.BoolVar(&s.acceptLogLoss, n, false, "start although the metadata log lost acknowledged entries")
	}},
	{"ignore-peer-rules", storing, func(f *pflag.FlagSet, s *settings, n string) {
		f.BoolVar(&s.ignorePeerRules, n, false, "start without the rules for addresses of peers (shoal admin ip --peers), to remove one that shuts the store's own nodes out")
	}},
	{"orphan-grace", storing, func(f *pflag.FlagSet, s *settings, n string) {
		f.DurationVar(&s.orphanGrace, n, 24*time.Hour, "`time` before shards of an upload that never completed are dropped, from 1s")
	}},
	{"scrub-period", storing, func(f *pflag.FlagSet, s *settings, n string) {
		f.DurationVar(&s.scrubPeriod, n, 7*24*time.Hour, "`time` in which every shard is read and checked once, from 1m")
	}},
	{"buffer", running, func(f *pflag.FlagSet, s *settings, n string) {
		s.buffer = 96 << 20
		f.Var(&s.buffer, n, "`size` of the memory that request bodies may take together, from 16MiB")
	}},
	{"cache", storing, func(f *pflag.FlagSet, s *settings, n string) {
		s.cache = 32 << 20
		f.Var(&s.cache, n, "`size` of the metadata cache, from 1MiB")
	}},
	{"grace", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.DurationVar(&s.grace, n, 20*time.Second, "`time` that requests under way get when the process is told to stop, from 1s")
	}},
	{"log-level", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.logLevel, n, "warn", "least `level` that is logged: debug, info, warn, error")
	}},
	{"log-format", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.logFormat, n, "text", "`form` of log lines: text, json")
	}},
	{"audit-full", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.auditFull, n, fullBlock, "what requests do while the disk takes no access records: `block` waits with the answer, shed answers without a record")
	}},
	{"audit-sync", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.BoolVar(&s.auditSync, n, false, "sync each access record before its request is answered, against a power cut; acts on rights always are")
	}},
	{"audit-file-size", running, func(f *pflag.FlagSet, s *settings, n string) {
		s.auditFileSize = 64 << 20
		f.Var(&s.auditFileSize, n, "`size` at which a file of a log is closed, from 1MiB")
	}},
	{"audit-file-age", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.DurationVar(&s.auditFileAge, n, 24*time.Hour, "`time` after which a file of a log is closed, from 1m")
	}},
	{"audit-keep-size", running, func(f *pflag.FlagSet, s *settings, n string) {
		s.auditKeepSize = 1 << 30
		f.Var(&s.auditKeepSize, n, "`size` of the closed files that are kept of each log, from 1MiB")
	}},
	{"audit-keep-age", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.DurationVar(&s.auditKeepAge, n, 0, "`time` for which closed files of a log are kept, from 1h; 0 is as long as --audit-keep-size allows")
	}},
	{"audit-checkpoint", running, func(f *pflag.FlagSet, s *settings, n string) {
		f.DurationVar(&s.auditEvery, n, 30*time.Second, "`time` after which the access log is synced and peers are told what it has come to, from 1s")
	}},
	{"credentials", partAdmin, func(f *pflag.FlagSet, s *settings, n string) {
		f.StringVar(&s.credentials, n, "", "credentials `file`; empty is AWS_SHARED_CREDENTIALS_FILE, then DATA/root.credentials")
	}},
}

// flagSet binds every key to s and sets s to the defaults.
func flagSet(s *settings) *pflag.FlagSet {
	f := pflag.NewFlagSet("keys", pflag.ContinueOnError)
	f.SortFlags = false
	for _, k := range keys {
		k.bind(f, s, k.name)
	}
	return f
}

// validate reports every value that cannot be meant.
func (s *settings) validate(p part) error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	address := func(name, value string, mayBeEmpty bool) {
		if value == "" && mayBeEmpty {
			return
		}
		_, _, err := net.SplitHostPort(value)
		check(err == nil, "%s: %q is not host:port", name, value)
	}
	check(s.data != "", "data: name a directory")
	if p&partAdmin == 0 {
		address("admin", s.admin, false)
	}
	if p&serving != 0 {
		address("s3", s.s3, false)
		check(len(s.tlsCert) == len(s.tlsKey), "tls-cert and tls-key: give as many of both")
		check(len(s.tlsClientCA) == 0 || len(s.tlsCert)+len(s.acmeDomain) > 0, "tls-client-ca: it needs TLS: give tls-cert and tls-key, or acme-domain")
		address("acme-http", s.acmeHTTP, true)
		if c := s.acme(); c != nil {
			errs = append(errs, c.Validate())
		}
	}
	if p&storing != 0 {
		address("p2p-bulk", s.p2pBulk, true)
		address("p2p-join", s.p2pJoin, true)
		check(s.partitions >= 1 && s.partitions <= 256, "partitions: %d is not within 1 to 256", s.partitions)
		check(s.orphanGrace >= time.Second, "orphan-grace: %v is less than 1s", s.orphanGrace)
		check(s.scrubPeriod >= time.Minute, "scrub-period: %v is less than 1m", s.scrubPeriod)
		check(s.cache >= 1<<20, "cache: %v is less than 1MiB", s.cache)
	}
	if p&running != 0 {
		s.validateJoin(check)
		check(len(s.adminTLSCert) == len(s.adminTLSKey), "admin-tls-cert and admin-tls-key: give as many of both")
		address("p2p", s.p2p, true)
		check(s.grace >= time.Second, "grace: %v is less than 1s", s.grace)
		check(s.buffer >= 16<<20, "buffer: %v is less than 16MiB", s.buffer)
		check(s.region != "", "region: name one")
		s.validateLogs(check)
		if err := s.validateTargets(); err != nil {
			errs = append(errs, err)
		}
		check(oneOf(s.logLevel, logLevels), "log-level: %q is none of %s", s.logLevel, strings.Join(logLevels, ", "))
		check(oneOf(s.logFormat, logFormats), "log-format: %q is none of %s", s.logFormat, strings.Join(logFormats, ", "))
	}
	return errors.Join(errs...)
}

// acme says which certificates are obtained; nil is none, and nothing was said of them.
func (s *settings) acme() *gateway.ACMEConfig {
	if len(s.acmeDomain) == 0 && s.acmeDirectory+s.acmeEmail+s.acmeCA+s.acmeHTTP == "" && !s.acmeTerms {
		return nil
	}
	return &gateway.ACMEConfig{Names: s.acmeDomain, Directory: s.acmeDirectory, Email: s.acmeEmail, AcceptTerms: s.acmeTerms, CAFile: s.acmeCA}
}

// Values of audit-full.
const (
	fullBlock = "block"
	fullShed  = "shed"
)

func (s *settings) validateLogs(check func(ok bool, format string, args ...any)) {
	check(s.auditFull == fullBlock || s.auditFull == fullShed, "audit-full: %q is neither %s nor %s", s.auditFull, fullBlock, fullShed)
	check(s.auditFileSize >= 1<<20, "audit-file-size: %v is less than 1MiB", &s.auditFileSize)
	check(s.auditFileAge >= time.Minute, "audit-file-age: %v is less than 1m", s.auditFileAge)
	check(s.auditKeepSize >= 1<<20, "audit-keep-size: %v is less than 1MiB", &s.auditKeepSize)
	check(s.auditEvery >= time.Second, "audit-checkpoint: %v is less than 1s", s.auditEvery)
	check(s.auditKeepAge == 0 || s.auditKeepAge >= time.Hour, "audit-keep-age: %v is less than 1h", s.auditKeepAge)
}

// tokenPrefix begins every token of an invitation.
const tokenPrefix = "shoal1-"

// validateJoin checks what can be checked without asking: a token that lies where an address belongs
// is found here, before anything is made on disk.
func (s *settings) validateJoin(check func(ok bool, format string, args ...any)) {
	at := strings.HasPrefix(s.join, "/")
	switch {
	case s.join == "":
		check(s.token == "", "token: give --join with the address of a member's join listener, or the token as --join")
	case at:
		check(strings.Contains(s.join, "/tcp/") && strings.Contains(s.join, "/p2p/"), "join: %q is not /ip4/ADDRESS/tcp/PORT/p2p/PEERID", s.join)
		check(s.token == "" || strings.HasPrefix(s.token, tokenPrefix), "token: it does not begin with %s", tokenPrefix)
	default:
		check(strings.HasPrefix(s.join, tokenPrefix), "join: neither a token (%s…) nor an address (/ip4/ADDRESS/tcp/PORT/p2p/PEERID)", tokenPrefix)
		check(s.token == "", "token: --join is a token already; give one of them")
	}
	for _, a := range s.announce {
		check(strings.HasPrefix(a, "/"), "announce: %q is not an address such as /ip4/192.0.2.1/tcp/4001", a)
	}
}

var (
	logLevels  = []string{"debug", "info", "warn", "error"}
	logFormats = []string{"text", "json"}
)

func oneOf(value string, choices []string) bool {
	for _, c := range choices {
		if c == value {
			return true
		}
	}
	return false
}
