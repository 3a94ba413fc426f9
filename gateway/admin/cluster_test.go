package admin_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/node/api"
)

func TestClusterHealth(t *testing.T) {
	tests := []struct {
		name   string
		health api.ClusterHealth
		fail   error
		status int
		body   string
	}{
		{"whole", api.ClusterHealth{Whole: true}, nil, 200, `{"status":"whole"}`},
		{"not whole", api.ClusterHealth{Reasons: []string{"a", "b"}, More: 3}, nil, 503, `{"status":"not whole","reasons":["a","b"],"more":3}`},
		{"whole with an error", api.ClusterHealth{Whole: true}, errors.New("pebble: d7"), 503, `{"status":"unknown","reasons":["The store cannot say how it is: Internal."]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := request{method: "GET", target: "/health/cluster", id: "-", local: true}.do(t, handler(&node{health: tt.health, fail: tt.fail}, io.Discard, false))
			if w.Code != tt.status || strings.TrimSpace(w.Body.String()) != tt.body {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

// Whoever reaches the port may ask; the nodes are not asked more often for that.
func TestClusterHealthIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{health: api.ClusterHealth{Whole: true}}
		h := handler(n, io.Discard, false)
		get := func(want int) {
			t.Helper()
			if w := (request{method: "GET", target: "/health/cluster", id: "-"}).do(t, h); w.Code != want {
				t.Errorf("%d %s, want %d", w.Code, w.Body, want)
			}
		}
		get(http.StatusOK)
		n.health = api.ClusterHealth{Reasons: []string{"a"}}
		get(http.StatusOK)
		if n.asked != 1 {
			t.Errorf("asked %d times", n.asked)
		}
		<-time.After(2 * time.Second)
		get(http.StatusServiceUnavailable)
		if n.asked != 2 {
			t.Errorf("asked %d times", n.asked)
		}
	})
}
