package api_test

import (
	"net/netip"
	"strings"
	"testing"

	"shoal/node/api"
)

func TestParsePrefix(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.0/24": "192.0.2.0/24", "192.0.2.1": "192.0.2.1/32", "2001:db8::/32": "2001:db8::/32", "2001:db8::1": "2001:db8::1/128",
		"::ffff:192.0.2.1": "192.0.2.1/32", "0.0.0.0/0": "0.0.0.0/0",
		"192.0.2.1/24": "did you mean 192.0.2.0/24", "192.0.2.0/33": "neither", "example.org": "neither", "": "neither", "fe80::1%lo": "neither",
		"::ffff:192.0.2.0/120": "write blocks of IPv4",
	} {
		p, err := api.ParsePrefix(text)
		got := p.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q gives %s, want %s", text, got, want)
		}
	}
}

func TestIPRules(t *testing.T) {
	for _, bad := range [][2]string{{"ip/", "block"}, {"ip/192.0.2.1", "block"}, {"ip/192.0.2.1/24", "block"}, {"ip/192.0.2.0/24", "deny"}, {"ip/::ffff:192.0.2.0/120", "block"}, {"ip/2001:DB8::/32", "block"}, {"peer-ip/192.0.2.1", "block"}, {"peer-ip/192.0.2.0/24", "deny"}} {
		if err := api.CheckSetting(bad[0], bad[1]); api.KindOf(err) != api.InvalidArgument {
			t.Errorf("%v: %v", bad, err)
		}
	}
	settings := []api.Setting{{Name: "voters", Value: "3"}}
	for _, r := range [][2]string{{"ip/2001:db8::/32", "block"}, {"ip/192.0.2.0/24", "block"}, {"ip/192.0.2.0/25", "allow"}, {"ip/10.0.0.1/32", "block"}, {"peer-ip/10.0.0.2/32", "block"}} {
		if err := api.CheckSetting(r[0], r[1]); err != nil {
			t.Error(err)
		}
		if err := api.CheckSetting(r[0], ""); err != nil {
			t.Error(err)
		}
		settings = append(settings, api.Setting{Name: r[0], Value: r[1]})
	}
	settings = append(settings, api.Setting{Name: "ip/what", Value: "block"}, api.Setting{Name: "ip/192.0.3.0/24", Value: "later"})
	var got []string
	for _, r := range api.IPRules(settings, api.IPClients) {
		got = append(got, r.Verdict+" "+r.Prefix.String())
	}
	if text := strings.Join(got, ", "); text != "block 10.0.0.1/32, block 192.0.2.0/24, allow 192.0.2.0/25, block 2001:db8::/32" {
		t.Errorf("rules are %s", text)
	}
	if got := api.IPRules(settings, api.IPPeers); len(got) != 1 || got[0] != (api.IPRule{Scope: api.IPPeers, Prefix: netip.MustParsePrefix("10.0.0.2/32"), Verdict: api.IPBlock}) {
		t.Errorf("rules for peers are %v", got)
	}
}
