package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/acme"
	"golang.org/x/sync/errgroup"
)

const (
	// lookEvery is how often it is looked whether certificate files have changed.
	lookEvery = time.Second
	// remindEvery is how often an operator is told of certificates that end soon.
	remindEvery = 24 * time.Hour
)

// CertificatesConfig says which certificates a listener has.
type CertificatesConfig struct {
	// Listener names it in metrics and logs, from a closed list.
	Listener string
	// Pairs are the files, the first for clients that name no host or one that no certificate is for.
	Pairs []Pair
	// ACME obtains more, nil none. They are chosen before those of files for wildcards and for all others.
	ACME *ACME
	// ClientCAs are files with the certificates, PEM, that vouch for those of clients. Without any, clients are not
	// asked for certificates.
	ClientCAs []string
	Logger    *slog.Logger
	// Now is the clock by which certificates begin and end.
	Now func() time.Time
}

// Certificates are those of one listener, chosen by the name that a client asks for and replaced while it
// serves. A new pair that cannot be served leaves the one before it in force.
type Certificates struct {
	cfg    CertificatesConfig
	inUse  atomic.Pointer[certSet]
	mutual atomic.Pointer[tls.Config] // that asks clients for certificates; nil where nobody vouches for them
	vouch  atomic.Pointer[x509.CertPool]
	reload chan struct{} // asks Watch to look now

	mu    sync.Mutex   // one look at a time; guards pairs and warned
	pairs []*watchPair // in the order of cfg.Pairs
	cas   []stamp      // of the files of cfg.ClientCAs that are in force
	// warned are the certificates of ACME whose end an operator was told of, by name.
	warned map[string]*x509.Certificate

	replaced, failed atomic.Uint64
}

// watchPair is a pair with what is known of its files.
type watchPair struct {
	Pair
	cert  *tls.Certificate
	tried stamp // of the files that were last read
	seen  stamp // of the last look: files that are being written are left alone
}

// stamp tells whether two files have changed.
type stamp [2]struct {
	size int64
	mode os.FileMode
	time time.Time
	file os.FileInfo // to see that another file has taken the name
}

// certSet is what the names of a listener stand for. It does not change.
type certSet struct {
	all       []*tls.Certificate
	exact     map[string][]*tls.Certificate
	wildcards map[string][]*tls.Certificate // by what follows "*."
}

// LoadCertificates reads all pairs. Its error names every file at fault.
func LoadCertificates(cfg CertificatesConfig) (*Certificates, error) {
	c := &Certificates{cfg: cfg, reload: make(chan struct{}, 1), warned: make(map[string]*x509.Certificate)}
	var errs []error
	for _, p := range cfg.Pairs {
		w := &watchPair{Pair: p}
		w.tried = w.look()
		w.seen = w.tried
		var err error
		w.cert, err = p.load(cfg.Now())
		errs = append(errs, err)
		c.pairs = append(c.pairs, w)
	}
	if len(cfg.Pairs) == 0 && cfg.ACME == nil {
		errs = append(errs, errors.New("TLS needs a certificate"))
	}
	errs = append(errs, c.loadClientCAs())
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, w := range c.pairs {
		c.warn(w)
	}
	c.publish()
	return c, nil
}

// suites are those of TLS 1.2 that encrypt and authenticate in one (RFC 9325, section 4.2), with forward
// secrecy. TLS 1.3 has no others.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// TLS is the configuration of a listener with these certificates: TLS 1.2 or 1.3, HTTP/2 or HTTP/1.1.
func (c *Certificates) TLS() *tls.Config {
	t := &tls.Config{
		GetCertificate: c.choose,
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   suites,
		NextProtos:     []string{"h2", "http/1.1"},
	}
	if c.cfg.ACME != nil {
		t.NextProtos = append(t.NextProtos, acme.ALPNProto)
	}
	return t
}

// choose gives the certificate for a client: one for the name it asks for, of a kind that it understands.
func (c *Certificates) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.cfg.ACME != nil && asksProof(hello) {
		return c.cfg.ACME.prove(hello)
	}
	set := c.inUse.Load()
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	fits := set.exact[name]
	if _, parent, ok := strings.Cut(name, "."); ok && len(fits) == 0 {
		fits = set.wildcards[parent]
	}
	if len(fits) == 0 {
		fits = set.all
	}
	if len(fits) == 0 {
		return nil, errors.New("no certificate has been obtained yet")
	}
	for _, cert := range fits {
		if hello.SupportsCertificate(cert) == nil {
			return cert, nil
		}
	}
	return fits[0], nil
}

// publish puts the certificates of all pairs in force.
func (c *Certificates) publish() {
	set := &certSet{exact: make(map[string][]*tls.Certificate), wildcards: make(map[string][]*tls.Certificate)}
	for _, w := range c.pairs {
		set.add(w.cert)
	}
	if c.cfg.ACME != nil {
		for _, cert := range c.cfg.ACME.certificates() {
			set.add(cert)
		}
	}
	c.inUse.Store(set)
}

// add gives a certificate its names.
func (s *certSet) add(cert *tls.Certificate) {
	s.all = append(s.all, cert)
	for _, name := range cert.Leaf.DNSNames {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if parent, ok := strings.CutPrefix(name, "*."); ok {
			s.wildcards[parent] = append(s.wildcards[parent], cert)
		} else {
			s.exact[name] = append(s.exact[name], cert)
		}
	}
}

// Reload asks Watch to read all files now, whether they look changed or not.
func (c *Certificates) Reload() {
	select {
	case c.reload <- struct{}{}:
	default: // it will
	}
}

// Watch reads files that have changed, and obtains and renews certificates, until ctx ends.
func (c *Certificates) Watch(ctx context.Context) error {
	var obtain errgroup.Group
	if c.cfg.ACME != nil {
		obtain.Go(func() error { return c.cfg.ACME.Run(ctx, c.republish) })
	}
	c.watch(ctx)
	return obtain.Wait()
}

// republish puts the certificates in force when those of ACME are others.
func (c *Certificates) republish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.publish()
	c.warnObtained()
}

func (c *Certificates) watch(ctx context.Context) {
	look, remind := time.NewTicker(lookEvery), time.NewTicker(remindEvery)
	defer look.Stop()
	defer remind.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			c.look(false)
		case <-c.reload:
			c.look(true)
		case <-remind.C:
			c.remind()
		}
	}
}

// look reads the pairs whose files have changed and rest since, or all.
func (c *Certificates) look(all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lookClientCAs(all)
	changed := false
	for _, w := range c.pairs {
		now := w.look()
		rests := now.same(&w.seen)
		w.seen = now
		if !all && (!rests || now.same(&w.tried)) {
			continue
		}
		w.tried = now
		cert, err := w.load(c.cfg.Now())
		if err != nil {
			c.failed.Add(1)
			c.cfg.Logger.Error("new certificate cannot be served; the one before it stays in force", "listener", c.cfg.Listener, "err", err)
			continue
		}
		if slices.EqualFunc(cert.Certificate, w.cert.Certificate, bytes.Equal) {
			continue
		}
		w.cert, changed = cert, true
		c.replaced.Add(1)
		c.cfg.Logger.Info("certificate replaced", "listener", c.cfg.Listener, "file", w.CertFile, "until", cert.Leaf.NotAfter)
		c.warn(w)
	}
	if changed {
		c.publish()
	}
}

// remind tells of certificates that end soon.
func (c *Certificates) remind() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.pairs {
		c.warnEnd(w)
	}
	clear(c.warned)
	c.warnObtained()
}

// warnObtained tells of certificates of ACME that should have been renewed, once each. It runs under mu.
func (c *Certificates) warnObtained() {
	if c.cfg.ACME == nil {
		return
	}
	for _, cert := range c.cfg.ACME.certificates() {
		name := cert.Leaf.DNSNames[0]
		if nearEnd(cert.Leaf, c.cfg.Now(), obtainedShare) && c.warned[name] != cert.Leaf {
			c.warned[name] = cert.Leaf
			c.cfg.Logger.Warn("certificate ends soon and was not renewed: look at what the ACME server says", "listener", c.cfg.Listener, "name", name, "until", cert.Leaf.NotAfter)
		}
	}
}

func (c *Certificates) warn(w *watchPair) {
	if selfSigned(w.cert.Leaf) {
		c.cfg.Logger.Warn("certificate is self-signed: clients trust it only when they are told to", "listener", c.cfg.Listener, "file", w.CertFile)
	}
	c.warnEnd(w)
}

func (c *Certificates) warnEnd(w *watchPair) {
	if nearEnd(w.cert.Leaf, c.cfg.Now(), fileShare) {
		c.cfg.Logger.Warn("certificate ends soon: renew it", "listener", c.cfg.Listener, "file", w.CertFile, "until", w.cert.Leaf.NotAfter)
	}
}

// DaysLeft is how many days are left of the certificate that ends first; negative after its end. A name for which
// none has been obtained has 0.
func (c *Certificates) DaysLeft() float64 {
	now := c.cfg.Now()
	var ends []time.Time
	for _, cert := range c.inUse.Load().all {
		ends = append(ends, cert.Leaf.NotAfter)
	}
	if c.cfg.ACME != nil && c.cfg.ACME.lacks() {
		ends = append(ends, now)
	}
	return slices.MinFunc(ends, time.Time.Compare).Sub(now).Hours() / 24
}

// look describes the files as they are. One that is not there is described as such.
func (p Pair) look() (s stamp) {
	for i, path := range [...]string{p.CertFile, p.KeyFile} {
		if info, err := os.Stat(path); err == nil {
			s[i].size, s[i].mode, s[i].time, s[i].file = info.Size(), info.Mode(), info.ModTime(), info
		}
	}
	return s
}

func (s *stamp) same(other *stamp) bool {
	for i := range s {
		a, b := &s[i], &other[i]
		if a.size != b.size || a.mode != b.mode || !a.time.Equal(b.time) || (a.file == nil) != (b.file == nil) || a.file != nil && !os.SameFile(a.file, b.file) {
			return false
		}
	}
	return true
}

// certificateMetrics describes the certificates of some listeners.
type certificateMetrics struct {
	of                                 []*Certificates
	days, reloads, obtained, obtainErr *prometheus.Desc
}

// CertificateMetrics gives the days left and the reloads of the certificates of each listener.
func CertificateMetrics(of ...*Certificates) prometheus.Collector {
	return &certificateMetrics{
		of:        of,
		days:      prometheus.NewDesc("shoal_edge_certificate_days", "Days left of the certificate that ends first, by listener.", []string{"listener"}, nil),
		reloads:   prometheus.NewDesc("shoal_edge_certificate_reloads_total", "Certificates read again after their files changed, by listener and whether they could be served.", []string{"listener", "outcome"}, nil),
		obtained:  prometheus.NewDesc("shoal_edge_acme_certificates_total", "Certificates asked of the ACME server or taken from those that gateways share, by listener and outcome.", []string{"listener", "outcome"}, nil),
		obtainErr: prometheus.NewDesc("shoal_edge_acme_errors_total", "Failures of the ACME server to answer, to agree or to prove a name, by listener.", []string{"listener"}, nil),
	}
}

// Describe is that of prometheus.Collector.
func (m *certificateMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- m.days
	out <- m.reloads
	out <- m.obtained
	out <- m.obtainErr
}

// Collect is that of prometheus.Collector.
func (m *certificateMetrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range m.of {
		out <- prometheus.MustNewConstMetric(m.days, prometheus.GaugeValue, c.DaysLeft(), c.cfg.Listener)
		out <- prometheus.MustNewConstMetric(m.reloads, prometheus.CounterValue, float64(c.replaced.Load()), c.cfg.Listener, "replaced")
		out <- prometheus.MustNewConstMetric(m.reloads, prometheus.CounterValue, float64(c.failed.Load()), c.cfg.Listener, "refused")
		if a := c.cfg.ACME; a != nil {
			for outcome, n := range map[string]*atomic.Uint64{"taken": &a.taken, "obtained": &a.obtained, "renewed": &a.renewed, "failed": &a.failed} {
				out <- prometheus.MustNewConstMetric(m.obtained, prometheus.CounterValue, float64(n.Load()), c.cfg.Listener, outcome)
			}
			out <- prometheus.MustNewConstMetric(m.obtainErr, prometheus.CounterValue, float64(a.transport.errors.Load()), c.cfg.Listener)
		}
	}
}
