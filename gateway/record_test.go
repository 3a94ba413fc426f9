package gateway_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

func TestAccessLog(t *testing.T) {
	g := start(t, nil)
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	g.want(call{method: "PUT", target: "/bucket/k%22%0A", body: "hello", header: http.Header{"User-Agent": {"test/1"}}}, 200, "")
	g.want(call{target: "/bucket?X-Amz-Signature=SIGNATURE&X-Amz-Credential=c", id: "-"}, 400, "")
	g.want(call{target: "/bucket/none", id: guestID}, 403, "AccessDenied")
	g.want(call{target: "/%FF", id: "-"}, 400, "InvalidURI")
	recs := g.records()
	want := []string{
		"PUT bucket  CreateBucket root 200 0 ",
		"PUT bucket k\"\n PutObject root 200 5 ",
		"GET bucket  ListObjects  400 0 AuthorizationQueryParametersError",
		"GET bucket none GetObject guest 403 0 AccessDenied",
		"GET   Unrouted  400 0 InvalidURI",
	}
	if len(recs) != len(want) {
		t.Fatalf("%d records: %v", len(recs), recs)
	}
	for i, r := range recs {
		got := fmt.Sprint(r["method"], " ", r["bucket"], " ", r["key"], " ", r["operation"], " ", r["user"], " ", r["status"], " ", r["bytes_received"], " ", r["error_code"])
		if got != want[i] {
			t.Errorf("record %d: %s, want %s", i, got, want[i])
		}
		if len(r["request_id"].(string)) != 16 || r["duration_ms"].(float64) < 0 || r["remote_addr"] == "" {
			t.Errorf("record %d: %v", i, r)
		}
	}
	text, _ := os.ReadFile(g.logDir + "/access.log")
	if both := string(text) + g.log.String(); strings.Contains(both, "SIGNATURE") || strings.Contains(both, testSecret) {
		t.Error("a log holds a signature or a secret")
	}
	if info, _ := os.Stat(g.logDir + "/access.log"); info.Mode().Perm() != 0o600 {
		t.Errorf("access log has mode %v", info.Mode())
	}
}

func TestMetrics(t *testing.T) {
	g := start(t, nil)
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	g.want(call{method: "PUT", target: "/bucket/key", body: "hello"}, 200, "")
	g.want(call{target: "/bucket/none"}, 404, "")
	a := g.do(call{target: "/metrics", id: "-", admin: true})
	for _, line := range []string{
		`shoal_gateway_requests_total{operation="GetObject",status="404"} 1`,
		`shoal_gateway_requests_total{operation="PutObject",status="200"} 1`,
		`shoal_gateway_request_seconds_count{operation="PutObject"} 1`,
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
