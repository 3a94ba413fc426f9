package edge_test

import (
	"net/http"
	"net/netip"
	"testing"

	"shoal/gateway/edge"
)

func rules(t *testing.T, blocked map[string]bool) *edge.Rules {
	t.Helper()
	m := make(map[netip.Prefix]bool)
	for text, b := range blocked {
		m[netip.MustParsePrefix(text)] = b
	}
	return edge.NewRules(m)
}

// The smallest block that holds an address decides.
func TestRules(t *testing.T) {
	r := rules(t, map[string]bool{"192.0.2.0/24": true, "192.0.2.128/25": false, "192.0.2.129/32": true, "2001:db8::/32": true, "2001:db8:1::/48": false, "10.0.0.0/8": false})
	for text, want := range map[string]bool{
		"192.0.2.1": true, "192.0.2.128": false, "192.0.2.129": true, "192.0.3.1": false, "10.1.1.1": false,
		"::ffff:192.0.2.1": true, "2001:db8::1": true, "2001:db8:1::1": false, "2001:db9::1": false, "::c000:201": false,
	} {
		if got := r.Blocks(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is blocked: %v", text, got)
		}
	}
	only := rules(t, map[string]bool{"0.0.0.0/0": true, "::/0": true, "10.0.0.0/8": false})
	for text, want := range map[string]bool{"192.0.2.1": true, "2001:db8::1": true, "10.1.1.1": false, "fe80::1%lo": true} {
		if got := only.Blocks(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is blocked by all but a few: %v", text, got)
		}
	}
	var none *edge.Rules
	if none.Blocks(netip.MustParseAddr("192.0.2.1")) || r.Blocks(netip.Addr{}) {
		t.Error("no rules, or no address, is blocked")
	}
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
	s.SetRules(rules(t, map[string]bool{"127.0.0.2/32": true, "192.0.2.0/24": true, "127.0.0.9/32": true}))
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
