package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"shoal/e2e/cluster"
	"shoal/gateway/audit"
	"shoal/gateway/audit/export"
)

const hookSecret = "the secret of a webhook"

// arrived collects records as they arrive, repeats among them.
type arrived struct {
	mu      sync.Mutex
	texts   map[string][]string // by log; guarded by mu
	repeats int                 // guarded by mu
	seen    map[string]bool     // guarded by mu
}

// take takes a record, unless it was there before.
func (a *arrived) take(log, id, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen == nil {
		a.seen, a.texts = make(map[string]bool), make(map[string][]string)
	}
	if a.seen[id] {
		a.repeats++
		return
	}
	a.seen[id] = true
	a.texts[log] = append(a.texts[log], text)
}

// takeEnvelope takes a record in its envelope.
func (a *arrived) takeEnvelope(text []byte) error {
	var e struct {
		ID, Log string
		Record  json.RawMessage
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return fmt.Errorf("%w in %.200q", err, text)
	}
	a.take(e.Log, e.ID, string(e.Record))
	return nil
}

// equals says whether all that the logs of a process hold has arrived, in order.
func (a *arrived) equals(t *testing.T, p *cluster.Process) error {
	for _, log := range []string{audit.AccessLog, audit.ActLog} {
		want := logged(t, p, log)
		a.mu.Lock()
		got := slices.Clone(a.texts[log])
		a.mu.Unlock()
		if !slices.Equal(got, want) {
			at := 0
			for at < min(len(got), len(want)) && got[at] == want[at] {
				at++
			}
			return fmt.Errorf("%d records of the %s log have arrived of %d; they differ from record %d on", len(got), log, len(want), at+1)
		}
	}
	return nil
}

// logged gives the records of a log of a process, in order.
func logged(t *testing.T, p *cluster.Process, log string) (all []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(p.Dir(), "logs", log+"-*.jsonl"))
	must(t, err)
	for _, name := range append(names, filepath.Join(p.Dir(), "logs", log+".jsonl")) {
		text, err := os.ReadFile(name)
		must(t, err)
		for line := range strings.Lines(string(text)) {
			if json.Valid([]byte(line)) && strings.HasSuffix(line, "\n") {
				all = append(all, strings.TrimSuffix(line, "\n"))
			}
		}
	}
	return all
}

// hook is a webhook that can be told to refuse.
type hook struct {
	arrived
	table  string // of shoal.toml
	refuse atomic.Bool
}

// newHook serves a webhook over TLS.
func newHook(t *testing.T) *hook {
	t.Helper()
	h := new(hook)
	certFile, keyFile, _ := certificate(t)
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte(hookSecret+"\n"), 0o600))
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || h.refuse.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if r.Header.Get(export.HeaderSignature) != export.Sign([]byte(hookSecret), r.Header.Get(export.HeaderTimestamp), body) {
			t.Errorf("a signature is wrong")
		}
		for line := range bytes.Lines(body) {
			if err := h.takeEnvelope(line); err != nil {
				t.Error(err)
			}
		}
	}))
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	must(t, err)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.StartTLS()
	t.Cleanup(s.Close)
	h.table = fmt.Sprintf("[[audit.target]]\nname = \"hook\"\nkind = \"webhook\"\nurl = %q\nsecret-file = %q\nca-file = %q\nallow-address = [\"127.0.0.1\"]\n", s.URL+"/records", secret, certFile)
	return h
}

// rsyslogConfig takes syslog over TLS and writes the messages to a file.
const rsyslogConfig = `
global(workDirectory=%[1]q maxMessageSize="1m" DefaultNetstreamDriver="gtls" DefaultNetstreamDriverCAFile=%[2]q
	DefaultNetstreamDriverCertFile=%[2]q DefaultNetstreamDriverKeyFile=%[3]q)
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon" maxFrameSize="1048576")
input(type="imtcp" port=%[4]q address="127.0.0.1")
template(name="bare" type="list") { property(name="msg") constant(value="\n") }
action(type="omfile" file=%[5]q template="bare")
`

// rsyslog is a real syslog server.
type rsyslog struct {
	t         *testing.T
	path, dir string
	addr      string
	table     string
	cmd       *exec.Cmd
}

func newRsyslog(t *testing.T) *rsyslog {
	t.Helper()
	r := &rsyslog{t: t, path: program(t, "rsyslogd"), dir: t.TempDir(), addr: cluster.FreeAddr(t)}
	certFile, keyFile, _ := certificate(t)
	_, port, _ := strings.Cut(r.addr, ":")
	config := fmt.Sprintf(rsyslogConfig, r.dir, certFile, keyFile, port, r.file())
	must(t, os.WriteFile(filepath.Join(r.dir, "rsyslog.conf"), []byte(config), 0o600))
	r.table = fmt.Sprintf("[[audit.target]]\nname = \"syslog\"\nkind = \"syslog\"\naddress = %q\nca-file = %q\nallow-address = [\"127.0.0.1\"]\n", r.addr, certFile)
	t.Cleanup(func() { r.signal(syscall.SIGKILL) })
	return r
}

func (r *rsyslog) file() string { return filepath.Join(r.dir, "messages") }

func (r *rsyslog) start() {
	r.t.Helper()
	r.cmd = exec.Command(r.path, "-n", "-f", filepath.Join(r.dir, "rsyslog.conf"), "-i", filepath.Join(r.dir, "pid"))
	r.cmd.Stdout, r.cmd.Stderr = os.Stderr, os.Stderr
	must(r.t, r.cmd.Start())
}

// signal ends the server and waits for that.
func (r *rsyslog) signal(s syscall.Signal) {
	if r.cmd == nil {
		return
	}
	// How it ends is the signal's doing.
	_ = r.cmd.Process.Signal(s)
	_ = r.cmd.Wait()
	r.cmd = nil
}

// read gives what the server has written.
func (r *rsyslog) read() (*arrived, error) {
	f, err := os.Open(r.file())
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a := new(arrived)
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return a, nil
		}
		if err != nil {
			return nil, err
		}
		if err := a.takeEnvelope(line); err != nil {
			return nil, err
		}
	}
}

// broker is one that speaks Kafka's protocol.
type broker struct {
	table  string
	client *kgo.Client
	arrived
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	certFile, keyFile, trust := certificate(t)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	must(t, err)
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "audit"), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}))
	must(t, err)
	t.Cleanup(c.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DialTLSConfig(&tls.Config{RootCAs: trust}), kgo.ConsumeTopics("audit"))
	must(t, err)
	t.Cleanup(client.Close)
	return &broker{client: client, table: fmt.Sprintf("[[audit.target]]\nname = \"events\"\nkind = \"kafka\"\nbroker = [%q]\ntopic = \"audit\"\nca-file = %q\nallow-address = [\"127.0.0.1\"]\n",
		c.ListenAddrs()[0], certFile)}
}

// read takes what is there.
func (b *broker) read(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	b.client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
		h := make(map[string]string)
		for _, header := range r.Headers {
			h[header.Key] = string(header.Value)
		}
		b.take(h[export.HeaderLog], h[export.HeaderID], string(r.Value))
	})
}

// withTargets writes a configuration file, and gives the arguments that name it.
func withTargets(t *testing.T, tables ...string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shoal.toml")
	must(t, os.WriteFile(path, []byte(strings.Join(tables, "\n")), 0o600))
	return []string{"--config", path}
}

// TestExport sends the logs to a webhook, a real rsyslog and a broker of Kafka, all over TLS, while these are away at times and
// the process is killed at random moments of a load. Everything that the logs hold has arrived at each in the end, in order.
func TestExport(t *testing.T) {
	t.Parallel()
	h, sys, kafka := newHook(t), newRsyslog(t), newBroker(t)
	sys.start()
	p := cluster.Start(t, cluster.Options{Args: append(withTargets(t, h.table, sys.table, kafka.table), "--audit-file-size", "1MiB")})
	const bucket = "exported"
	must(t, sdkClient{p.S3()}.mkBucket(t.Context(), bucket))
	rounds := count(t, "EXPORT_KILLS", 2)
	if full() {
		rounds = count(t, "EXPORT_KILLS", 10)
	}
	for round := range rounds {
		var killed atomic.Bool
		var load sync.WaitGroup
		for worker := range 4 {
			client := sdkClient{p.S3(func(o *s3.Options) { o.RetryMaxAttempts = 1 })}
			load.Go(func() {
				for i := 0; !killed.Load(); i++ {
					// Those that the kill breaks off fail.
					_ = client.put(t.Context(), bucket, fmt.Sprint(worker, "-", i%10), pattern{seed: uint64(i), size: 100})
				}
			})
		}
		pause(t, 700*time.Millisecond)
		h.refuse.Store(true)
		sys.signal(syscall.SIGTERM) // a kill could take what it has read and not written
		pause(t, 700*time.Millisecond)
		killed.Store(true)
		p.Kill()
		load.Wait()
		p.Start()
		p.WaitReady()
		must(t, sdkClient{p.S3()}.put(t.Context(), bucket, fmt.Sprint("round", round), pattern{size: 10}))
		h.refuse.Store(false)
		sys.start()
	}
	must(t, sdkClient{p.S3()}.remove(t.Context(), bucket, "round0"))
	eventually(t, 2*time.Minute, func() error {
		kafka.read(t.Context())
		s, err := sys.read()
		if err != nil {
			return err
		}
		t.Logf("repeats: webhook %d, syslog %d, Kafka %d", h.repeats, s.repeats, kafka.repeats)
		return errors.Join(h.equals(t, p), s.equals(t, p), kafka.equals(t, p))
	})
	t.Logf("%d records", len(logged(t, p, audit.AccessLog)))
	wantWholeAudit(t, verifyAudit(t, p, nil), int64(rounds))
	var all []audit.TargetStatus
	p.AdminJSON(&all, "audit", "targets")
	if len(all) != 6 {
		t.Errorf("targets %+v", all)
	}
	table, err := p.Admin("audit", "targets")
	if must(t, err); !strings.Contains(table, "LAST ERROR") || strings.Count(table, "syslog") != 4 || strings.Contains(table, hookSecret) {
		t.Errorf("the table is\n%s", table)
	}
}

// fillQueue asks without a signature for keys that make long records, until ended says so, and gives the last status.
func fillQueue(t *testing.T, p *cluster.Process, ended func(status int) bool) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for range 5000 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.Endpoint()+"/flooded/"+strings.Repeat("%22", 1000), nil)
		must(t, err)
		resp, err := client.Do(req)
		must(t, err)
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if ended(resp.StatusCode) {
			return
		}
	}
	t.Fatal("5000 requests did not fill the queue")
}

// TestExportQueueFull keeps a target away until more waits for it than may: requests are refused, or the oldest records are
// skipped and that is on the record, as the target's table says.
func TestExportQueueFull(t *testing.T) {
	t.Parallel()
	const bounds = "queue = \"1MiB\"\nlog = [\"access\"]\n"
	t.Run("block", func(t *testing.T) {
		h := newHook(t)
		h.refuse.Store(true)
		p := cluster.Start(t, cluster.Options{Args: append(withTargets(t, h.table+bounds), "--audit-file-size", "1MiB")})
		fillQueue(t, p, func(status int) bool { return status == 503 })
		p.Restart() // what waits is known then, too
		client := sdkClient{p.S3(func(o *s3.Options) { o.RetryMaxAttempts = 1 })}
		if err := client.mkBucket(t.Context(), "refused"); status(err) != 503 {
			t.Errorf("a full queue is answered with %v", err)
		}
		h.refuse.Store(false)
		eventually(t, 2*time.Minute, func() error { return client.mkBucket(t.Context(), "served") })
		eventually(t, time.Minute, func() error { return h.onlyAccess(t, p, nil) })
		if text := strings.Join(logged(t, p, audit.AccessLog), "\n"); !strings.Contains(text, `"event":"refused"`) || strings.Contains(text, `"event":"skipped"`) {
			t.Error("the log does not tell what was refused, or something was skipped")
		}
	})
	t.Run("shed", func(t *testing.T) {
		h := newHook(t)
		h.refuse.Store(true)
		p := cluster.Start(t, cluster.Options{Args: append(withTargets(t, h.table+bounds+"full = \"shed\"\n"), "--audit-file-size", "1MiB")})
		skipped := func() bool {
			return strings.Contains(strings.Join(logged(t, p, audit.AccessLog), "\n"), `"event":"skipped"`)
		}
		requests := 0
		fillQueue(t, p, func(status int) bool {
			if status == 503 {
				t.Error("a request was refused")
			}
			requests++
			return requests%100 == 0 && skipped()
		})
		h.refuse.Store(false)
		gone := func() map[uint64]bool {
			all := make(map[uint64]bool)
			for _, text := range logged(t, p, audit.AccessLog) {
				var r struct {
					Event string
					First uint64 `json:"first_seq"`
					Last  uint64 `json:"last_seq"`
				}
				must(t, json.Unmarshal([]byte(text), &r))
				for seq := r.First; r.Event == "skipped" && seq <= r.Last; seq++ {
					all[seq] = true
				}
			}
			return all
		}
		eventually(t, 2*time.Minute, func() error { return h.onlyAccess(t, p, gone()) })
		if len(gone()) == 0 {
			t.Error("nothing was skipped")
		}
		wantWholeAudit(t, verifyAudit(t, p, nil), 0)
	})
}

// onlyAccess says whether the access log has arrived but for the records that are gone.
func (h *hook) onlyAccess(t *testing.T, p *cluster.Process, gone map[uint64]bool) error {
	isGone := func(text string) bool {
		var r struct{ Seq uint64 }
		must(t, json.Unmarshal([]byte(text), &r))
		return gone[r.Seq]
	}
	h.mu.Lock()
	got := slices.Clone(h.texts[audit.AccessLog])
	h.mu.Unlock()
	want := logged(t, p, audit.AccessLog)
	if got, want = slices.DeleteFunc(got, isGone), slices.DeleteFunc(want, isGone); !slices.Equal(got, want) {
		return fmt.Errorf("%d records have arrived of %d", len(got), len(want))
	}
	return nil
}
