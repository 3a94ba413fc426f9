package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
	"shoal/gateway/audit"
	"shoal/p2p"
	"shoal/p2p/transport"
)

// answered collects the IDs of requests whose answers were read to their end.
type answered struct {
	mu  sync.Mutex
	ids map[string]bool // guarded by mu
}

func (a *answered) note(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ids[id] = true
}

// watcher sends requests and tells of their answers.
type watcher struct {
	*answered
	next http.RoundTripper
}

func (a watcher) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	id := resp.Header.Get("X-Amz-Request-Id")
	if r.Method == http.MethodHead || resp.ContentLength == 0 {
		a.note(id)
		return resp, nil
	}
	resp.Body = &watched{ReadCloser: resp.Body, length: resp.ContentLength, end: func() { a.note(id) }}
	return resp, nil
}

// watched is a body that tells when its last byte was read.
type watched struct {
	io.ReadCloser
	read, length int64 // length is -1 when it is not known
	end          func()
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	w.read += int64(n)
	if w.end != nil && (errors.Is(err, io.EOF) || w.read == w.length) {
		w.end()
		w.end = nil
	}
	return n, err
}

// auditLoad reads and writes until the process is killed, denied and failing requests among them.
func auditLoad(ctx context.Context, c sdkClient, r *rand.Rand, bucket string, killed *atomic.Bool) error {
	for !killed.Load() {
		content := pattern{seed: r.Uint64(), size: int64(r.IntN(40 * kib))}
		key := fmt.Sprint("k", r.IntN(8))
		var err error
		switch n := r.IntN(10); {
		case n < 4:
			err = c.put(ctx, bucket, key, content)
		case n < 7:
			_, err = c.size(ctx, bucket, key)
		case n < 8:
			err = c.remove(ctx, bucket, key)
		case n < 9:
			_, err = c.size(ctx, "no-such-bucket", key)
		default:
			var out *s3.GetObjectOutput
			if out, err = c.c.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key}); err == nil {
				_, err = io.Copy(io.Discard, out.Body)
				out.Body.Close()
			}
		}
		if err != nil && !killed.Load() && !absent(err) && !strings.Contains(err.Error(), "NoSuch") && !strings.Contains(err.Error(), "NotFound") {
			return err
		}
	}
	return nil
}

// bucketsMade are the buckets that a load of acts has asked for and has not removed.
type bucketsMade struct {
	asked    []string
	resolved int // of which the outcome is not known
}

// actLoad makes buckets and removes all but the last few, one after the other, until the process is killed.
func actLoad(ctx context.Context, c sdkClient, kill int, made *bucketsMade, killed *atomic.Bool) error {
	const kept = 20 // a round of kills has room for so many buckets each
	first := len(made.asked)
	for i := 0; !killed.Load(); i++ {
		name := fmt.Sprintf("act-%d-%d", kill, i)
		made.asked = append(made.asked, name)
		if err := c.mkBucket(ctx, name); err != nil && !killed.Load() {
			return err
		}
		if len(made.asked)-first <= kept || killed.Load() {
			continue
		}
		_, err := c.c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &made.asked[first]})
		if err != nil && !killed.Load() {
			return err
		}
		if err == nil {
			made.asked = slices.Delete(made.asked, first, first+1)
		}
	}
	return nil
}

// recorded checks that each bucket that there is has an intent and an outcome on the record of a process.
func (m *bucketsMade) recorded(ctx context.Context, c sdkClient, p *cluster.Process) error {
	intents, outcomes := make(map[string]string), make(map[string]string)
	names, err := filepath.Glob(filepath.Join(p.Dir(), "logs", "acts*.jsonl"))
	if err != nil {
		return err
	}
	m.resolved = 0
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(text) {
			var r struct{ Event, Operation, Target, Intent, Failed string }
			if json.Unmarshal(line, &r) != nil || r.Intent == "" {
				continue // torn by a kill, or not about an act
			}
			switch r.Event {
			case "intent":
				intents[r.Intent] = r.Operation + " of " + r.Target
			case "act", "refusal":
				outcomes[r.Intent] = r.Event
				if r.Failed == "OutcomeUnknown" {
					m.resolved++
				}
			}
		}
	}
	recorded := make(map[string]bool)
	for id, target := range intents {
		if outcomes[id] == "" {
			return fmt.Errorf("the intent of the %s has no outcome", target)
		}
		recorded[target] = recorded[target] || outcomes[id] == "act"
	}
	for _, name := range m.asked {
		_, err := c.c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &name})
		if err == nil && !recorded["CreateBucket of "+name] {
			return fmt.Errorf("%s was made and is not on the record", name)
		}
	}
	return nil
}

var recordID = regexp.MustCompile(`"event":"request".*"request_id":"([0-9A-V]{16})"`)

// recorded gives the IDs of the requests in the access log of a process.
func recorded(t *testing.T, p *cluster.Process) map[string]bool {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(p.Dir(), "logs", "access*.jsonl"))
	must(t, err)
	ids := make(map[string]bool)
	for _, name := range names {
		text, err := os.ReadFile(name)
		must(t, err)
		for _, m := range recordID.FindAllSubmatch(text, -1) {
			ids[string(m[1])] = true
		}
	}
	return ids
}

// verifyAudit verifies the logs of a process, with what another one keeps if that is not nil.
func verifyAudit(t *testing.T, p, witness *cluster.Process) *audit.Report {
	t.Helper()
	o := &audit.VerifyOptions{Paths: []string{filepath.Join(p.Dir(), "logs")}, KeyOf: func(peer string) (ed25519.PublicKey, error) {
		return transport.PublicKey(p2p.NodeID(peer))
	}}
	if witness != nil {
		o.Checkpoints = []string{filepath.Join(witness.Dir(), "logs", audit.CheckpointDir)}
	}
	r, err := audit.Verify(t.Context(), o)
	must(t, err)
	return r
}

// TestAuditKills kills a gateway at random moments of a load. Every request that was answered is on the record,
// the chain verifies, and what the node has heard of it finds an end that is cut off later, wherever the
// gateway's own checkpoints are.
func TestAuditKills(t *testing.T) {
	t.Parallel()
	kills := count(t, "AUDIT_KILLS", 5)
	if full() {
		kills = count(t, "AUDIT_KILLS", 100)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	const bucket = "audited"
	c := cluster.Launch(t, cluster.Shape{Nodes: 1, Gateways: 1, Serving: []string{"--audit-checkpoint", "1s", "--audit-file-size", "1MiB"}})
	node, g := c.Nodes()[0], c.Gateways()[0]
	must(t, sdkClient{node.S3()}.mkBucket(t.Context(), bucket))
	seen := &answered{ids: make(map[string]bool)}
	crashes := int64(0)
	var made bucketsMade
	for kill := range kills {
		var killed atomic.Bool
		var load sync.WaitGroup
		load.Go(func() {
			if err := actLoad(t.Context(), sdkClient{g.S3()}, kill, &made, &killed); err != nil {
				t.Errorf("before kill %d: %v", kill, err)
			}
		})
		for range 6 {
			client := sdkClient{g.S3(func(o *s3.Options) {
				o.HTTPClient = &http.Client{Transport: watcher{seen, o.HTTPClient.(*http.Client).Transport}}
			})}
			own := rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
			load.Go(func() {
				if err := auditLoad(t.Context(), client, own, bucket, &killed); err != nil {
					t.Errorf("before kill %d: %v", kill, err)
				}
			})
		}
		pause(t, time.Duration(20+r.IntN(2000))*time.Millisecond)
		killed.Store(true)
		g.Kill()
		load.Wait()
		crashes++
		ids := recorded(t, g)
		for id := range seen.ids {
			if !ids[id] {
				t.Errorf("kill %d: request %s was answered and has no record", kill, id)
			}
		}
		g.Start()
		g.WaitReady()
		if t.Failed() {
			return
		}
	}
	t.Logf("%d requests were answered", len(seen.ids))
	wantWholeAudit(t, verifyAudit(t, g, nil), crashes)
	// Every act that took effect is on the record, answered or not; what was begun and has no outcome, the starts after it resolve.
	eventually(t, time.Minute, func() error { return made.recorded(t.Context(), sdkClient{node.S3()}, g) })
	t.Logf("%d acts were asked for, and %d resolved", len(made.asked), made.resolved)
	// What the last start has written is told at the next checkpoint.
	must(t, sdkClient{g.S3()}.put(t.Context(), bucket, "last", pattern{size: 10}))
	eventually(t, time.Minute, func() error {
		r := verifyAudit(t, g, node)
		if !r.Whole() {
			return fmt.Errorf("found %+v", r)
		}
		for _, c := range r.Chains {
			if c.Foreign != c.Last {
				return fmt.Errorf("the node has heard of record %d, %d is the last", c.Foreign, c.Last)
			}
		}
		return nil
	})
	g.Kill()
	testCutOff(t, g, node)
}

func testCutOff(t *testing.T, g, node *cluster.Process) {
	must(t, os.RemoveAll(filepath.Join(g.Dir(), "logs", audit.CheckpointDir)))
	path := filepath.Join(g.Dir(), "logs", "access.jsonl")
	text, err := os.ReadFile(path)
	must(t, err)
	lines := bytes.SplitAfter(text, []byte("\n"))
	must(t, os.WriteFile(path, bytes.Join(lines[:len(lines)-3], nil), 0o600))
	wantWholeAudit(t, verifyAudit(t, g, nil), -1)
	if r := verifyAudit(t, g, node); r.Whole() {
		t.Errorf("what was cut off is not missed: %+v", r)
	}
	logs, own := filepath.Join(g.Dir(), "logs"), filepath.Join(node.Dir(), "logs", audit.CheckpointDir)
	code, text2 := cluster.Run(nil, "audit", "verify", logs, "--checkpoints", own)
	if code != 1 || !strings.Contains(text2, "not what was written") {
		t.Errorf("shoal audit verify ends with %d: %s", code, text2)
	}
}

// wantWholeAudit demands that nothing is found, and this number of crashes unless it is -1.
func wantWholeAudit(t *testing.T, r *audit.Report, crashes int64) {
	t.Helper()
	if !r.Whole() || len(r.Chains) != 2 {
		t.Fatalf("found %+v", r)
	}
	for _, c := range r.Chains {
		if crashes >= 0 && c.Crashes != crashes {
			t.Errorf("%s log: %d crashes, want %d", c.Log, c.Crashes, crashes)
		}
	}
}
