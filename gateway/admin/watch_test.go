package admin_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"shoal/node/api"
)

// TestWatch: metrics and the details of health are for this machine, profiles and they for who has the right, and metrics for who brings the token.
func TestWatch(t *testing.T) {
	h := handler(&node{ready: errors.New("no leader"), health: api.ClusterHealth{Reasons: []string{"a secret of the cluster"}}}, io.Discard, false)
	token := func(line string) map[string]string { return map[string]string{"Authorization": line} }
	pages := map[string]string{
		"/metrics": "shoal_test_total 0", "/debug/pprof/goroutine?debug=1": "goroutine profile",
		"/health/ready": "no leader", "/health/cluster": "a secret of the cluster",
	}
	for page, detail := range pages {
		health := strings.HasPrefix(page, "/health/")
		for _, tt := range []struct {
			name string
			request
			seen bool
		}{
			{"this machine", request{id: "-", local: true}, !strings.HasPrefix(page, "/debug/")},
			{"a proxy on this machine", request{id: "-", local: true, head: map[string]string{"X-Forwarded-For": "192.0.2.7"}}, false},
			{"another proxy on this machine", request{id: "-", local: true, head: map[string]string{"Forwarded": "for=192.0.2.7"}}, false},
			{"another machine", request{id: "-"}, false},
			{"root", request{}, true},
			{"a user without the right", request{id: "guest-key"}, false},
			{"a wrong secret", request{secret: "x"}, false},
			{"the token", request{id: "-", head: token("Bearer " + testToken)}, page == "/metrics"},
			{"the token in small letters", request{id: "-", head: token("bearer " + testToken)}, page == "/metrics"},
			{"another token", request{id: "-", head: token("Bearer " + testToken + "x")}, false},
			{"no token", request{id: "-", head: token("Bearer ")}, false},
			{"another scheme", request{id: "-", head: token("Basic " + testToken)}, false},
		} {
			tt.method, tt.target = http.MethodGet, page
			w := tt.do(t, h)
			if strings.Contains(w.Body.String(), detail) != tt.seen {
				t.Errorf("%s, %s: %d %.200s", page, tt.name, w.Code, w.Body)
			}
			if want := map[bool]int{true: 200, false: 403}[tt.seen]; !health && w.Code != want && !(want == 403 && w.Code == 400) {
				t.Errorf("%s, %s: %d, want %d", page, tt.name, w.Code, want)
			}
			if health && w.Code != http.StatusServiceUnavailable {
				t.Errorf("%s, %s: %d: the status is for all", page, tt.name, w.Code)
			}
		}
	}
}

// TestNoMetricsToken: where no token is set, none is right.
func TestNoMetricsToken(t *testing.T) {
	h := bare(&node{})
	for _, line := range []string{"Bearer ", "Bearer x", "Bearer"} {
		if w := (request{method: "GET", target: "/metrics", id: "-", head: map[string]string{"Authorization": line}}).do(t, h); w.Code == 200 {
			t.Errorf("%q: %d", line, w.Code)
		}
	}
}

// TestProfile: one profile at a time, of a bounded time.
func TestProfile(t *testing.T) {
	h := handler(&node{}, io.Discard, false)
	for _, seconds := range []string{"0", "-1", "61", "x", "1.5"} {
		if w := (request{method: "GET", target: "/debug/pprof/profile?seconds=" + seconds, local: true}).do(t, h); w.Code != 400 {
			t.Errorf("%s seconds: %d", seconds, w.Code)
		}
	}
	w := request{method: "GET", target: "/debug/pprof/profile?seconds=1", local: true}.do(t, h)
	if b := w.Body.Bytes(); w.Code != 200 || len(b) < 2 || b[0] != 0x1f || b[1] != 0x8b {
		t.Errorf("%d, %d bytes that are no profile", w.Code, w.Body.Len())
	}
	if w := (request{method: "GET", target: "/debug/pprof/cmdline", local: true}).do(t, h); w.Code != 404 {
		t.Errorf("arguments of the process: %d %.100s", w.Code, w.Body)
	}
}
