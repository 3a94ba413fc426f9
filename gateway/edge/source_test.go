package edge_test

import (
	"net/http"
	"net/netip"
	"testing"

	"shoal/gateway/edge"
	"shoal/node/api"
)

func rules(blocked ...string) *api.IPFilter {
	var all []api.IPRule
	for _, text := range blocked {
		all = append(all, api.IPRule{Prefix: netip.MustParsePrefix(text), Verdict: api.IPBlock})
	}
	return api.NewIPFilter(all)
}

func TestSourceBlock(t *testing.T) {
	for text, want := range map[string]string{"192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "2001:db8:1:2::1": "2001:db8:1:2::"} {
		if got := edge.SourceBlock(netip.MustParseAddr(text)); got != netip.MustParseAddr(want) {
			t.Errorf("%s counts as %v", text, got)
		}
	}
}

// Blocked addresses are closed at once, or refused where they come through a proxy; rules change while it serves.
func TestServerRules(t *testing.T) {
	s, addr := serveAs(t, func(c *edge.Config) {
		c.Proxies = proxies(t, "", "127.0.0.9")
		c.Denied = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	}, tellOrigin)
	expect := func(from, header, want string) {
		t.Helper()
		if got := ask(t, addr, from, "", header); got != want {
			t.Errorf("from %s: %s, want %s", from, got, want)
		}
	}
	expect("127.0.0.2", "", "127.0.0.2 false")
	s.SetRules(rules("127.0.0.2/32", "192.0.2.0/24", "127.0.0.9/32"))
	expect("127.0.0.2", "", "closed")
	expect("127.0.0.3", "", "127.0.0.3 false")
	expect("127.0.0.9", "X-Forwarded-For: 192.0.2.1\r\n", "403 Forbidden")
	expect("127.0.0.9", "X-Forwarded-For: 192.0.3.1\r\n", "192.0.3.1 false")
	if n := s.Connections().Blocked; n != 2 {
		t.Errorf("%d are counted as blocked", n)
	}
	s.SetRules(nil)
	expect("127.0.0.2", "", "127.0.0.2 false")
}
