package api

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// What rules for addresses are about. Those for clients mean nothing to peers, and the other way round.
const (
	IPClients IPScope = "clients" // requests of S3 and management
	IPPeers   IPScope = "peers"   // connections of the store's members, and of those who want to be
)

// IPScope is what a rule for addresses is about.
type IPScope string

// settingIP begins the names of settings that are rules for addresses; the block of addresses follows.
var settingIP = map[IPScope]string{IPClients: "ip/", IPPeers: "peer-ip/"}

// What rules for addresses say.
const (
	IPBlock = "block"
	IPAllow = "allow"
)

// IPRule says whether a block of addresses is served. Of all rules of one scope that speak of an address,
// that with the smallest block decides; an address of which none speaks is served.
type IPRule struct {
	Scope   IPScope      `json:"scope"`
	Prefix  netip.Prefix `json:"prefix"`
	Verdict string       `json:"verdict"` // IPBlock or IPAllow
}

// IPSetting is the name of the setting that is the rule for a block of addresses.
func IPSetting(scope IPScope, p netip.Prefix) string { return settingIP[scope] + p.String() }

// IsPeerRule says whether a setting of that name is a rule for addresses of peers.
func IsPeerRule(name string) bool {
	scope, _, _ := cutIPSetting(name)
	return scope == IPPeers
}

// cutIPSetting tells of the name of a setting which rule it is.
func cutIPSetting(name string) (scope IPScope, block string, ok bool) {
	for scope, begin := range settingIP {
		if block, ok := strings.CutPrefix(name, begin); ok {
			return scope, block, true
		}
	}
	return "", "", false
}

// DescribeSetting makes a setting that is not one of KnownSettings: a rule for addresses, or one of a later
// release, which has no meaning here.
func DescribeSetting(name, value string) Setting {
	s := Setting{Name: name, Value: value}
	switch scope, _, _ := cutIPSetting(name); scope {
	case IPClients:
		s.Default, s.Meaning = "as larger blocks say", "whether requests from there are served"
	case IPPeers:
		s.Default, s.Meaning = "as larger blocks say", "whether members may connect from there"
	}
	return s
}

// IPRules gives the rules of a scope among settings, ordered by address and length. What cannot be read is left out.
func IPRules(settings []Setting, scope IPScope) []IPRule {
	var out []IPRule
	for i := range settings {
		of, text, ok := cutIPSetting(settings[i].Name)
		if !ok || of != scope || settings[i].Value == "" || !validIPRule(text, settings[i].Value) {
			continue
		}
		if p, err := ParsePrefix(text); err == nil {
			out = append(out, IPRule{Scope: scope, Prefix: p, Verdict: settings[i].Value})
		}
	}
	slices.SortFunc(out, func(a, b IPRule) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
	})
	return out
}

// validIPRule says whether a rule may be set: a block has one name alone.
func validIPRule(block, verdict string) bool {
	p, err := ParsePrefix(block)
	return err == nil && p.String() == block && (verdict == "" || verdict == IPBlock || verdict == IPAllow)
}

// ParsePrefix reads a CIDR block such as 192.0.2.0/24; an address alone is a block of one.
func ParsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, fmt.Errorf("%.64q is neither an address nor a block such as 192.0.2.0/24 or 2001:db8::/32", text)
	case p.Addr().Is4In6():
		return p, fmt.Errorf("%q: write blocks of IPv4 as such", text)
	case p != p.Masked():
		return p, fmt.Errorf("%q has bits behind its length; did you mean %v?", text, p.Masked())
	}
	return p, nil
}
