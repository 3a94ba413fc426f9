package gateway_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"shoal/gateway"
	"shoal/gateway/audit"
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
	g.want(call{target: "/bucket/key", id: "-", header: http.Header{"Authorization": {"AWS4-HMAC-SHA256 what"}}}, 400, "AuthorizationHeaderMalformed")
	a := g.do(call{target: "/metrics", id: "-", admin: true})
	for _, line := range []string{
		`shoal_requests_total{operation="GetObject",status="404"} 1`,
		`shoal_requests_total{operation="PutObject",status="200"} 1`,
		`shoal_gateway_request_seconds_count{operation="PutObject"} 1`,
		`shoal_auth_failures_total{reason="signature"} 1`,
		`shoal_auth_failures_total{reason="unknown_key"} 1`,
		`shoal_auth_failures_total{reason="malformed"} 1`,
		`shoal_permission_denied_total{reason="nothing_allows"} 1`,
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
