package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"shoal/gateway"
	"shoal/gateway/audit"
	"shoal/gateway/audit/export"
	"shoal/node/api"
	"shoal/node/apitest"
)

func TestAccessLog(t *testing.T) {
	g := start(t, nil)
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	g.want(call{method: "PUT", target: "/bucket/k%22%0A", body: "hello", header: http.Header{"User-Agent": {"test/1"}}}, 200, "")
	g.want(call{target: "/bucket?X-Amz-Signature=SIGNATURE&X-Amz-Credential=c", id: "-"}, 400, "")
	g.want(call{target: "/bucket/none", id: guestID}, 403, "AccessDenied")
	g.want(call{target: "/%FF", id: "-"}, 400, "InvalidURI")
	g.want(call{target: "/bucket/none", id: "-"}, 403, "AccessDenied")
	g.want(call{target: "/bucket/none", secret: "wrong"}, 403, "SignatureDoesNotMatch")
	g.want(call{target: "/bucket/none", id: "MISTAKENLYASECRET"}, 403, "InvalidAccessKeyId")
	g.want(call{target: "/bucket/none?versionId=v1", method: "HEAD"}, 400, "")
	g.want(call{target: "/admin/v1/space", admin: true}, 200, "")
	g.want(call{target: "/admin/v1/space", admin: true, id: guestID}, 403, "")
	g.want(call{target: "/admin/v1/nothing", admin: true, id: "-"}, 405, "")
	recs := g.records()
	want := []string{
		"PUT bucket  CreateBucket root KEY1 200 0  allow s3:CreateBucket allowed by root",
		"PUT bucket k\"\n PutObject root KEY1 200 5  allow s3:PutObject allowed by root",
		"GET bucket  ListObjects   400 0 AuthorizationQueryParametersError  ",
		"GET bucket none GetObject guest KEY2 403 0 AccessDenied deny denied before any policy was asked",
		"GET   Unrouted   400 0 InvalidURI  ",
		"GET bucket none GetObject   403 0 AccessDenied deny s3:GetObject denied by nothing_allows",
		"GET bucket none GetObject  KEY1 403 0 SignatureDoesNotMatch deny denied before any policy was asked",
		"GET bucket none GetObject   403 0 InvalidAccessKeyId deny denied before any policy was asked",
		"HEAD bucket none HeadObject root KEY1 400 0 InvalidArgument allow s3:GetObjectVersion allowed by root",
		"GET   GET /admin/v1/space root KEY1 200 0  allow admin:GetSpace allowed by root",
		"GET   GET /admin/v1/space guest KEY2 403 0 AccessDenied deny denied before any policy was asked",
		"GET   Unrouted   405 0   ",
	}
	if len(recs) != len(want) {
		t.Fatalf("%d records: %v", len(recs), recs)
	}
	keys := map[any]string{testID: "KEY1", guestID: "KEY2", "": ""}
	for i, r := range recs {
		got := fmt.Sprint(r["method"], " ", r["bucket"], " ", r["key"], " ", r["operation"], " ", r["user"], " ", keys[r["access_key_id"]], " ", r["status"], " ",
			r["bytes_received"], " ", r["error_code"], " ", r["decision"], " ", r["reason"])
		if got != want[i] {
			t.Errorf("record %d: %s, want %s", i, got, want[i])
		}
		if len(r["request_id"].(string)) != 16 || r["duration_ms"].(float64) < 0 || r["remote_addr"] == "" {
			t.Errorf("record %d: %v", i, r)
		}
	}
	if recs[8]["version_id"] != "v1" {
		t.Errorf("record %v", recs[8])
	}
	text, _ := os.ReadFile(g.logDir + "/access.jsonl")
	both := string(text) + g.log.String()
	for _, secret := range []string{"SIGNATURE", testSecret, "MISTAKENLYASECRET"} {
		if strings.Contains(both, secret) {
			t.Errorf("a log holds %s", secret)
		}
	}
	if info, _ := os.Stat(g.logDir + "/access.jsonl"); info.Mode().Perm() != 0o600 {
		t.Errorf("access log has mode %v", info.Mode())
	}
}

// slowFile takes its time when it is told, so that who answers before the record is written is found out.
type slowFile struct {
	audit.File
	slow *atomic.Bool
}

func (f slowFile) Write(p []byte) (int, error) {
	if f.slow.Load() {
		<-time.After(100 * time.Millisecond)
	}
	return f.File.Write(p)
}

// TestRecordBeforeEnd: whoever has read an answer to its end finds its record in the file, also when the
// answer is larger than any buffer, and the log is neither synced nor closed.
func TestRecordBeforeEnd(t *testing.T) {
	var slow atomic.Bool
	g := start(t, func(c *gateway.Config) {
		c.Logs.Open = func(path string) (audit.File, error) {
			file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o600)
			return slowFile{file, &slow}, err
		}
	})
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	big := strings.Repeat("x", 3<<20)
	slow.Store(true)
	for i, c := range []call{
		{method: "PUT", target: "/bucket/big", body: big}, {target: "/bucket/big"}, {target: "/bucket/big", header: http.Header{"Range": {"bytes=5-2000004"}}},
		{method: "HEAD", target: "/bucket/big"}, {target: "/bucket/none"}, {target: "/bucket"}, {method: "DELETE", target: "/bucket/big"},
	} {
		a := g.do(c)
		text, err := os.ReadFile(g.logDir + "/access.jsonl")
		if err != nil {
			t.Fatal(err)
		}
		last := lastLine(text)
		if !strings.Contains(last, `"request_id":"`+a.header.Get("X-Amz-Request-Id")+`"`) {
			t.Errorf("request %d: answered %d without a record", i, a.status)
		} else if size := fmt.Sprintf(`"bytes_sent":%d,`, len(a.body)); !strings.Contains(last, size) {
			t.Errorf("request %d: got %d bytes, record %s", i, len(a.body), last)
		}
	}
}

// TestActIsSynced: an act is on the record, on the disk, before it is answered, and says no more than what was set.
func TestActIsSynced(t *testing.T) {
	g := start(t, nil)
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	a := g.want(call{method: "PUT", target: "/bucket?versioning", body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"}, 200, "")
	text, err := os.ReadFile(g.logDir + "/acts.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	last := lastLine(text)
	for _, piece := range []string{`"event":"act"`, `"operation":"PutBucketVersioning"`, `"target":"bucket"`, `\"versioning\":\"off\"`, `\"versioning\":\"enabled\"`,
		`"user":"root"`, `"request_id":"` + a.header.Get("X-Amz-Request-Id") + `"`} {
		if !strings.Contains(last, piece) {
			t.Errorf("%s lacks %s", last, piece)
		}
	}
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

func TestMetrics(t *testing.T) {
	g := start(t, nil)
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	g.want(call{method: "PUT", target: "/bucket/key", body: "hello"}, 200, "")
	g.want(call{target: "/bucket/none"}, 404, "")
	g.want(call{target: "/bucket/key", id: "-"}, 403, "AccessDenied")
	g.want(call{target: "/bucket/key", secret: "wrong"}, 403, "SignatureDoesNotMatch")
	g.want(call{target: "/bucket/key", id: "NOSUCHKEY"}, 403, "InvalidAccessKeyId")
	for _, c := range []call{{secret: "wrong"}, {id: "NOSUCHKEY"}, {id: "-"}, {}} {
		c.target, c.admin = "/admin/v1/space", true // the third proves nothing and says so, the last proves who asks
		g.do(c)
	}
	g.want(call{target: "/bucket/key", id: "-", header: http.Header{"Authorization": {"AWS4-HMAC-SHA256 what"}}}, 400, "AuthorizationHeaderMalformed")
	a := g.do(call{target: "/metrics", id: "-", admin: true})
	for _, line := range []string{
		`shoal_requests_total{operation="GetObject",status="404"} 1`,
		`shoal_requests_total{operation="PutObject",status="200"} 1`,
		`shoal_gateway_request_seconds_count{operation="PutObject"} 1`,
		`shoal_auth_failures_total{reason="signature"} 2`,
		`shoal_auth_failures_total{reason="unknown_key"} 2`,
		`shoal_auth_failures_total{reason="malformed"} 1`,
		`shoal_permission_denied_total{reason="nothing_allows"} 2`,
		`shoal_requests_total{operation="GET /admin/v1/space",status="200"} 1`,
		`shoal_requests_total{operation="GET /admin/v1/space",status="403"} 3`,
		"shoal_gateway_received_bytes_total 5",
		"shoal_gateway_in_flight_requests 0",
	} {
		if !strings.Contains(a.body, line+"\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
	if a.status != 200 || strings.Contains(a.body, "bucket=") || strings.Contains(a.body, testID) {
		t.Errorf("status %d, or a name in the metrics", a.status)
	}
}

// TestRecordOfManagement: the records of the management port say what was asked about, of what was denied, too.
func TestRecordOfManagement(t *testing.T) {
	g := start(t, nil)
	for _, ch := range []api.IdentityChange{{Kind: api.KindUser, Name: "alice", Do: api.DoCreate}} {
		if err := g.people.ChangeIdentity(t.Context(), ch); err != nil {
			t.Fatal(err)
		}
	}
	k, err := g.people.CreateKey(t.Context(), api.NewKey{Principal: "user:alice"})
	if err != nil {
		t.Fatal(err)
	}
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	long := strings.Repeat("x", 2000)
	tries := []struct{ method, path, body, bucket, target string }{
		{"GET", "buckets/bucket/quota", "", "bucket", ""},
		{"PUT", "buckets/bucket/quota", `{"bytes":1}`, "bucket", ""},
		{"POST", "buckets/bucket/readonly", `{"on":false}`, "bucket", ""},
		{"POST", "keys", `{"principal":"user:bob"}`, "", "user:bob"},
		{"POST", "keys/change", `{"access_key_id":"` + k.AccessKeyID + `","do":"enable"}`, "", k.AccessKeyID},
		{"POST", "identities/change", `{"kind":"policy","name":"readonly","do":"delete"}`, "", "policy:readonly"},
		{"POST", "identities/change", `{"kind":"user","name":"` + long + `","do":"delete"}`, "", "user:" + long[:507]},
		{"GET", "keys", "", "", ""},
	}
	var statuses []int
	for _, tt := range tries {
		for _, c := range []call{{id: k.AccessKeyID, secret: k.Secret}, {}} {
			c.method, c.target, c.body, c.admin = tt.method, "/admin/v1/"+tt.path, tt.body, true
			statuses = append(statuses, g.do(c).status)
		}
	}
	recs := g.records()
	recs = recs[len(recs)-len(statuses):]
	for i, r := range recs {
		tt := tries[i/2]
		target, _ := r["target"].(string)
		before := i%2 == 0 && tt.method == "PUT" // the right is asked for before the body is read
		if i%2 == 0 && statuses[i] != 403 || r["bucket"] != tt.bucket || !before && target != tt.target {
			t.Errorf("%s %s: %d, bucket %q, target %q", tt.method, tt.path, statuses[i], r["bucket"], target)
		}
	}
}

// TestDeniedCounted: every refusal of either port is counted once, by what it rests on.
func TestDeniedCounted(t *testing.T) {
	g := start(t, func(c *gateway.Config) { // the gateway knows all of this from its start on
		for _, ch := range []api.IdentityChange{
			{Kind: api.KindUser, Name: "alice", Do: api.DoCreate}, {Kind: api.KindUser, Name: "bob", Do: api.DoCreate}, {Kind: api.KindUser, Name: "bob", Do: api.DoDisable},
			{Kind: api.KindPolicy, Name: "no-quota", Do: api.DoCreate, Document: `{"Statement":[{"Effect":"Allow","Action":"admin:*","Resource":"*"},{"Effect":"Deny","Action":"admin:GetQuota","Resource":"*"}]}`},
			{Kind: api.KindUser, Name: "alice", Do: api.DoAttach, Policy: "no-quota"},
		} {
			if err := c.Identities.(*apitest.Identities).ChangeIdentity(t.Context(), ch); err != nil {
				t.Fatal(err)
			}
		}
	})
	key := func(principal string) func(call) call {
		k, err := g.people.CreateKey(t.Context(), api.NewKey{Principal: principal})
		if err != nil {
			t.Fatal(err)
		}
		return func(c call) call { c.id, c.secret = k.AccessKeyID, k.Secret; return c }
	}
	alice, bob := key("user:alice"), key("user:bob")
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	for _, c := range []call{
		bob(call{target: "/bucket"}), bob(call{target: "/bucket/key"}), bob(call{target: "/admin/v1/space", admin: true}), // disabled
		alice(call{target: "/admin/v1/buckets/bucket/quota", admin: true}),                                // a statement denies it
		alice(call{method: "POST", target: "/admin/v1/root/replace", admin: true, body: `{"overlap":0}`}), // for root alone
		alice(call{target: "/bucket"}), // nothing allows it
		{target: "/bucket", header: http.Header{"X-Amz-Expected-Bucket-Owner": {"111111111111"}}}, // no policy
		{target: "/admin/v1/space", admin: true, id: "-"},                                         // not signed
	} {
		if a := g.do(c); a.status != 403 {
			t.Errorf("%s: %d %s", c.target, a.status, a.body)
		}
	}
	for _, c := range []call{{target: "/bucket", secret: "wrong"}, {target: "/admin/v1/space", admin: true, secret: "wrong"}} { // no denials: they prove nothing
		if a := g.do(c); a.status != 403 || !strings.Contains(a.body, "SignatureDoesNotMatch") {
			t.Errorf("%s: %d %s", c.target, a.status, a.body)
		}
	}
	g.want(call{target: "/health/ready", id: "-", admin: true}, 200, "")
	body := g.do(call{target: "/metrics", id: "-", admin: true}).body
	for _, line := range []string{
		`shoal_permission_denied_total{reason="principal"} 3`,
		`shoal_permission_denied_total{reason="identity_policy"} 1`,
		`shoal_permission_denied_total{reason="root_only"} 1`,
		`shoal_permission_denied_total{reason="nothing_allows"} 2`,
		`shoal_permission_denied_total{reason="other"} 1`,
		`shoal_auth_failures_total{reason="signature"} 2`,
		`shoal_requests_total{operation="GET /admin/v1/buckets/{bucket}/quota",status="403"} 1`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
	if n := strings.Count(body, "shoal_permission_denied_total{"); n != 5 {
		t.Errorf("%d reasons", n)
	}
}

// collector is a webhook that can be told to refuse.
type collector struct {
	*httptest.Server
	refuse atomic.Bool
	lines  syncBuffer
}

func newCollector(t *testing.T) *collector {
	c := new(collector)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.refuse.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		io.Copy(&c.lines, r.Body)
	}))
	t.Cleanup(c.Close)
	return c
}

// target is the configuration of the collector.
func (c *collector) target(t *testing.T) export.Config {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a secret of a webhook"), 0o600); err != nil {
		t.Fatal(err)
	}
	return export.Config{Name: "hook", Kind: export.Webhook, URL: c.URL, Plaintext: true, SecretFile: secret, Allow: []string{"127.0.0.1"}}
}

// TestTargets: records of both logs arrive at a target, and its state is told.
func TestTargets(t *testing.T) {
	c := newCollector(t)
	g := start(t, func(cfg *gateway.Config) { cfg.Targets = []export.Config{c.target(t)} })
	a := g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	g.want(call{method: "PUT", target: "/bucket?versioning", body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"}, 200, "")
	status := g.do(call{target: "/admin/v1/audit/targets", admin: true})
	for _, piece := range []string{`"target":"hook","kind":"webhook","log":"access"`, `"log":"acts"`, `"queue_bytes_max":1073741824`, `"full":"block"`} {
		if status.status != 200 || !strings.Contains(status.body, piece) {
			t.Errorf("%d %s lacks %s", status.status, status.body, piece)
		}
	}
	metrics := g.do(call{target: "/metrics", id: "-", admin: true}).body
	for _, line := range []string{`shoal_audit_target_skipped_records_total{kind="webhook",log="access",target="hook"} 0`, `shoal_audit_full{log="acts"} 0`} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
	g.end() // delivers what is left
	for _, piece := range []string{`"request_id":"` + a.header.Get("X-Amz-Request-Id"), `"operation":"PutBucketVersioning"`, `"log":"acts"`, `"event":"stop"`} {
		if !strings.Contains(c.lines.String(), piece) {
			t.Errorf("%s did not arrive", piece)
		}
	}
}

// TestTargetBlocks: while more waits for a target than may, S3 requests are refused before anything is done, and
// management is served. Afterwards all goes on, and one record counts what was refused.
func TestTargetBlocks(t *testing.T) {
	c := newCollector(t)
	c.refuse.Store(true)
	g := start(t, func(cfg *gateway.Config) {
		cfg.Logs.FileBytesMax = 1 << 20
		to := c.target(t)
		to.QueueBytes, to.Logs = 1<<20, []string{audit.AccessLog}
		cfg.Targets = []export.Config{to}
	})
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	// Records of long keys, over one connection.
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	status := 0
	for range 2000 {
		req := call{target: "/bucket/" + strings.Repeat("%22", 1000)}.request(t, g.s3)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if status = resp.StatusCode; status == 503 {
			break
		}
	}
	if status != 503 {
		t.Fatalf("the last of many requests was answered %d", status)
	}
	g.want(call{method: "PUT", target: "/refused"}, 503, "SlowDown")
	g.want(call{target: "/refused", id: "-"}, 503, "SlowDown")
	if a := g.do(call{target: "/admin/v1/audit/targets", admin: true}); a.status != 200 || !strings.Contains(a.body, `"state":"full"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := g.do(call{target: "/metrics", id: "-", admin: true}); !strings.Contains(a.body, `shoal_audit_full{log="access"} 1`) || !strings.Contains(a.body, `shoal_audit_refused_requests_total{log="access"} 3`) {
		t.Error("the metrics do not tell that the log is full")
	}
	c.refuse.Store(false)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	refused := 3
	for g.do(call{target: "/refused"}).status == 503 {
		refused++
		<-tick.C
	}
	g.want(call{target: "/refused"}, 404, "NoSuchBucket") // it was not made
	g.end()
	told := 0
	for _, m := range regexp.MustCompile(`"event":"refused".*?"records":(\d+)`).FindAllStringSubmatch(c.lines.String(), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		told += n
	}
	if told != refused {
		t.Errorf("records tell of %d refused requests, there were %d", told, refused)
	}
}

// fullFile is a file that takes nothing while it is told so.
type fullFile struct {
	audit.File
	full *atomic.Bool
}

func (f fullFile) Write(p []byte) (int, error) {
	if f.full.Load() {
		return 0, syscall.ENOSPC
	}
	return f.File.Write(p)
}

// TestDiskBlocks: with Block, requests that come while the disk takes no records are refused, and the one that was under
// way is answered once it does.
func TestDiskBlocks(t *testing.T) {
	var full atomic.Bool
	g := start(t, func(c *gateway.Config) {
		c.Logs.Open = func(path string) (audit.File, error) {
			file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o600)
			return fullFile{file, &full}, err
		}
	})
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	full.Store(true)
	waiting := make(chan answer, 1)
	conn := g.dial(g.s3)
	defer conn.Close()
	if _, err := conn.Write(call{target: "/bucket/under-way"}.bytes(t, g.s3)); err != nil {
		t.Fatal(err)
	}
	go func() { waiting <- readAnswer(t, bufio.NewReader(conn), http.MethodGet) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(g.do(call{target: "/metrics", id: "-", admin: true}).body, `shoal_audit_full{log="access"} 1`) {
		<-tick.C
	}
	g.want(call{method: "PUT", target: "/refused"}, 503, "SlowDown")
	full.Store(false)
	if a := <-waiting; a.status != 404 {
		t.Errorf("the request that waited was answered %d", a.status)
	}
	for g.do(call{target: "/bucket"}).status != 200 {
		<-tick.C
	}
	g.want(call{target: "/refused"}, 404, "NoSuchBucket")
}

// TestNodeActs: what the node of the process did stands in the same chain, as the node's.
func TestNodeActs(t *testing.T) {
	g := start(t, nil)
	act := api.Act{
		Kind: api.ActOnMembership, Operation: "JoinMember", Target: "newcomer", RemoteAddr: "192.0.2.1:5", After: map[string]string{"state": "active"}, Failed: "OutcomeUnknown",
	}
	if err := g.RecordAct(t.Context(), act); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(g.logDir + "/acts.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	want := `"remote_addr":"192.0.2.1:5","user":"node:peer","access_key_id":"","request_id":"","kind":"membership","operation":"JoinMember","target":"newcomer","version_id":"",` +
		`"before":"","after":"{\"state\":\"active\"}","failed":"OutcomeUnknown"}`
	if last := lastLine(text); !strings.HasSuffix(last, want) {
		t.Errorf("got  %s\nwant …%s", last, want)
	}
	g.end()
	if err := g.RecordAct(t.Context(), act); !errors.Is(err, audit.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// TestNodeActsDoNotHang: while the disk takes nothing, an act of the node waits as long as its context and no longer. It is on record once
// the disk takes it.
func TestNodeActsDoNotHang(t *testing.T) {
	var refuses atomic.Bool
	g := start(t, func(c *gateway.Config) {
		c.Logs.Open = func(path string) (audit.File, error) {
			file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o600)
			return refusingFile{file, &refuses}, err
		}
	})
	refuses.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := g.RecordAct(ctx, api.Act{Operation: "LoseMember"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while the disk refuses: %v", err)
	}
	refuses.Store(false)
	if err := g.RecordAct(t.Context(), api.Act{Operation: "TakeMemberBack"}); err != nil {
		t.Error(err)
	}
	g.end()
	text, err := os.ReadFile(g.logDir + "/acts.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, operation := range []string{"LoseMember", "TakeMemberBack"} {
		if n := strings.Count(string(text), operation); n != 1 {
			t.Errorf("%d records of %s", n, operation)
		}
	}
}

// refusingFile takes nothing while it is told so.
type refusingFile struct {
	audit.File
	refuses *atomic.Bool
}

func (f refusingFile) Write(p []byte) (int, error) {
	if f.refuses.Load() {
		return 0, syscall.ENOSPC
	}
	return f.File.Write(p)
}
