package api_test

import (
	"net/netip"
	"testing"

	"shoal/node/api"
)

func filter(blocked map[string]bool) *api.IPFilter {
	var all []api.IPRule
	for text, b := range blocked {
		r := api.IPRule{Prefix: netip.MustParsePrefix(text), Verdict: api.IPAllow}
		if b {
			r.Verdict = api.IPBlock
		}
		all = append(all, r)
	}
	return api.NewIPFilter(all)
}

// The smallest block that holds an address decides.
func TestIPFilter(t *testing.T) {
	r := filter(map[string]bool{"192.0.2.0/24": true, "192.0.2.128/25": false, "192.0.2.129/32": true, "2001:db8::/32": true, "2001:db8:1::/48": false, "10.0.0.0/8": false})
	for text, want := range map[string]bool{
		"192.0.2.1": true, "192.0.2.128": false, "192.0.2.129": true, "192.0.3.1": false, "10.1.1.1": false,
		"::ffff:192.0.2.1": true, "2001:db8::1": true, "2001:db8:1::1": false, "2001:db9::1": false, "::c000:201": false,
	} {
		if got := r.Blocks(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is blocked: %v", text, got)
		}
	}
	only := filter(map[string]bool{"0.0.0.0/0": true, "::/0": true, "10.0.0.0/8": false})
	for text, want := range map[string]bool{"192.0.2.1": true, "2001:db8::1": true, "10.1.1.1": false, "fe80::1%lo": true} {
		if got := only.Blocks(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is blocked by all but a few: %v", text, got)
		}
	}
	var none *api.IPFilter
	if none.Blocks(netip.MustParseAddr("192.0.2.1")) || r.Blocks(netip.Addr{}) {
		t.Error("no rules, or no address, is blocked")
	}
}
