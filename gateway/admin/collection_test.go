package admin_test

import (
	"io"
	"strings"
	"testing"
)

// TestVerifyDropped: the parameter is a bucket and, behind the first slash, a prefix.
func TestVerifyDropped(t *testing.T) {
	for query, want := range map[string]string{
		"": `"freed_bytes":7`, "?verify=b": `"bucket":"b","prefix":"","clean":true`, "?verify=b%2Fp%2Fq%20r": `"bucket":"b","prefix":"p/q r","clean":true`,
		"?verify=": "InvalidArgument", "?verify=%2Fp": "InvalidArgument",
	} {
		w := request{method: "GET", target: "/admin/v1/gc/status" + query}.do(t, handler(&node{}, io.Discard, false))
		if body := w.Body.String(); !strings.Contains(body, want) || query == "" && strings.Contains(body, "verified") {
			t.Errorf("%q: %d %s", query, w.Code, body)
		}
	}
}
