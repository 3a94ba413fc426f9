package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"shoal/gateway"
	"shoal/gateway/audit"
	"shoal/node/api"
	"shoal/node/apitest"
)

const (
	testID     = "SHOALTESTKEY00000001"
	testSecret = "0123456789abcdefghijABCDEFGHIJ0123456789"
	guestID    = "SHOALTESTKEY00000002"
	emptySum   = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// keyStore knows the root principal, one that may do nothing, and the access keys of users.
type keyStore struct{ people *apitest.Identities }

func (k keyStore) Credential(ctx context.Context, id string) (api.Credential, error) {
	switch id {
	case testID:
		return api.Credential{AccessKeyID: id, Secret: testSecret, Principal: "root"}, nil
	case guestID:
		return api.Credential{AccessKeyID: id, Secret: testSecret, Principal: "guest"}, nil
	}
	return k.people.Credential(ctx, id)
}

// health can be told to be unwell.
type health struct {
	mu     sync.Mutex // guards what follows
	err    error
	limits []string
}

func (h *health) set(err error) {
	h.mu.Lock()
	h.err = err
	h.mu.Unlock()
}

func (h *health) limit(limits ...string) {
	h.mu.Lock()
	h.limits = limits
	h.mu.Unlock()
}

func (h *health) Ready(context.Context) ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.limits, h.err
}

// operator is an Admin with fixed answers.
type operator struct {
	api.IdentityAdmin
	invited   api.Invite
	scrubbing func(context.Context) // what a scrub does; nil is over at once
}

func (*operator) Space(context.Context) (api.Space, error) { return api.Space{Objects: 7}, nil }
func (*operator) Workers(context.Context) ([]api.Worker, error) {
	return []api.Worker{{Name: "scrub"}}, nil
}
func (*operator) Groups(context.Context) ([]api.Group, error)      { return []api.Group{{ID: 3}}, nil }
func (*operator) Placement(context.Context) (api.Placement, error) { return api.Placement{}, nil }
func (*operator) Durability(context.Context, api.DurabilityQuery) (api.Durability, error) {
	return api.Durability{}, nil
}
func (*operator) Cluster(context.Context) (api.ClusterHealth, error) {
	return api.ClusterHealth{Whole: true}, nil
}
func (*operator) Allow(context.Context, api.Allow) (api.Allowed, error) { return api.Allowed{}, nil }
func (*operator) SetMember(context.Context, api.MemberChange) error     { return nil }
func (*operator) RemoveDrive(context.Context, string) error             { return nil }
func (*operator) Revoke(context.Context, string) (api.Revoked, error)   { return api.Revoked{}, nil }
func (*operator) Settings(context.Context) ([]api.Setting, error)       { return nil, nil }
func (*operator) SetSetting(context.Context, api.SettingChange) error   { return nil }
func (*operator) Usage(context.Context, string) (api.Usage, error)      { return api.Usage{}, nil }
func (*operator) SetQuota(context.Context, string, api.Quota) error     { return nil }
func (*operator) ReadOnlyStatus(context.Context) (api.ReadOnlyStatus, error) {
	return api.ReadOnlyStatus{}, nil
}
func (*operator) SetReadOnly(context.Context, bool, string) (api.ReadOnlyStatus, error) {
	return api.ReadOnlyStatus{}, nil
}
func (*operator) BucketReadOnly(context.Context, string) (api.BucketReadOnly, error) {
	return api.BucketReadOnly{}, nil
}
func (*operator) SetBucketReadOnly(context.Context, string, bool, string) (api.BucketReadOnly, error) {
	return api.BucketReadOnly{}, nil
}
func (*operator) Collect(context.Context) (api.Collection, error)    { return api.Collection{}, nil }
func (*operator) Collection(context.Context) (api.Collection, error) { return api.Collection{}, nil }
func (*operator) VerifyDropped(context.Context, string, string) (api.Dropped, error) {
	return api.Dropped{}, nil
}
func (o *operator) Scrub(ctx context.Context) (api.ScrubReport, error) {
	if o.scrubbing != nil {
		o.scrubbing(ctx)
	}
	return api.ScrubReport{Shards: 9}, nil
}
func (*operator) Members(context.Context) ([]api.Member, error) { return nil, nil }
func (o *operator) Invite(_ context.Context, r api.Invite) (api.Invitation, error) {
	o.invited = r
	return api.Invitation{ID: "0123456789abcdef", Token: "token"}, nil
}

// gate is a running gateway.
type gate struct {
	*gateway.Server
	t        testing.TB
	s3       string // host:port
	admin    string
	store    *apitest.Memory
	health   *health
	operator *operator
	people   *apitest.Identities
	logDir   string
	log      *syncBuffer
	stop     context.CancelFunc
	done     chan error
}

// syncBuffer is a buffer that goroutines share.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start runs a gateway over a store in memory, with changes to its configuration.
func start(t testing.TB, change func(*gateway.Config)) *gate {
	t.Helper()
	m, people := apitest.NewMemory(), new(apitest.Identities)
	g := &gate{t: t, store: m, health: new(health), operator: &operator{IdentityAdmin: people}, people: people,
		logDir: t.TempDir(), log: new(syncBuffer), done: make(chan error, 1)}
	cfg := gateway.Config{
		S3Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Domains: []string{"s3.example.net"},
		Buckets: m, Objects: m, Uploads: m, Versions: m, Credentials: keyStore{people}, Identities: people, Health: g.health, Admin: g.operator,
		Logger: slog.New(slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Logs:   audit.Config{Dir: g.logDir, Writer: "peer"}, DrainTimeout: 10 * time.Second, Release: "test",
	}
	if change != nil {
		change(&cfg)
	}
	s, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.Server = s
	s3, admin := s.Addrs()
	g.s3, g.admin = s3.String(), admin.String()
	ctx, cancel := context.WithCancel(t.Context())
	g.stop = cancel
	go func() { g.done <- s.Run(ctx) }()
	t.Cleanup(g.end)
	return g
}

// end stops the gateway and checks that it ended well.
func (g *gate) end() {
	if g.stop == nil {
		return
	}
	g.stop()
	g.stop = nil
	if err := <-g.done; err != nil {
		g.t.Errorf("gateway ended with %v", err)
	}
}

// call describes a request; "" and nil fields have plain values.
type call struct {
	method, target string
	header         http.Header
	body           string
	host           string // Host header
	id             string // access key ID; "-" sends no signature
	secret         string
	payload        string // x-amz-content-sha256 in place of the digest
	admin          bool   // to the management port
}

func (c call) withDefaults() call {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	set(&c.method, http.MethodGet)
	set(&c.target, "/")
	set(&c.id, testID)
	set(&c.secret, testSecret)
	if c.payload == "" {
		sum := sha256.Sum256([]byte(c.body))
		c.payload = hex.EncodeToString(sum[:])
	}
	return c
}

// request signs a call for an address.
func (c call) request(t testing.TB, addr string) *http.Request {
	t.Helper()
	c = c.withDefaults()
	r, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+addr, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	path, query, _ := strings.Cut(c.target, "?")
	r.URL.Opaque, r.URL.RawQuery = path, query // as it stands, without net/url's opinion
	r.Host = c.host
	if r.Host == "" {
		r.Host = addr
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	if c.id == "-" {
		return r
	}
	r.Header.Set("X-Amz-Content-Sha256", c.payload)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	signed := r.Clone(t.Context())
	signed.URL.Opaque = "//" + addr + path
	cred := aws.Credentials{AccessKeyID: c.id, SecretAccessKey: c.secret}
	if err := signer.SignHTTP(t.Context(), cred, signed, c.payload, "s3", "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	r.Header = signed.Header
	return r
}

// bytes gives the call as it stands on the wire.
func (c call) bytes(t testing.TB, addr string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := c.request(t, addr).Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	close  bool  // the connection ends here
	err    error // reading the body
}

// do sends a call over a raw connection, so that nothing between tidies the path.
func (g *gate) do(c call) answer {
	g.t.Helper()
	addr := g.s3
	if c.admin {
		addr = g.admin
	}
	conn := g.dial(addr)
	defer conn.Close()
	if _, err := conn.Write(c.bytes(g.t, addr)); err != nil {
		g.t.Fatal(err)
	}
	return readAnswer(g.t, bufio.NewReader(conn), c.method)
}

func (g *gate) dial(addr string) net.Conn {
	g.t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		g.t.Fatal(err)
	}
	return conn
}

func readAnswer(t testing.TB, r *bufio.Reader, method string) answer {
	t.Helper()
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text), resp.Close, err}
}

// want does a call and demands a status and, unless it is "", an error code.
func (g *gate) want(c call, status int, code string) answer {
	g.t.Helper()
	a := g.do(c)
	if a.status != status || code != "" && !strings.Contains(a.body, "<Code>"+code+"</Code>") {
		g.t.Errorf("%s %s: got %d %s, want %d %s", c.method, c.target, a.status, a.body, status, code)
	}
	return a
}

// records stops the gateway and gives the lines of its access log.
func (g *gate) records() []map[string]any {
	g.t.Helper()
	g.end()
	text, err := os.ReadFile(filepath.Join(g.logDir, "access.jsonl"))
	if err != nil {
		g.t.Fatal(err)
	}
	var all []map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		var one map[string]any
		if err := d.Decode(&one); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			g.t.Fatalf("%v in %s", err, text)
		}
		if one["event"] == "request" {
			all = append(all, one)
		}
	}
}
