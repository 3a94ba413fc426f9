package export

import (
	"net/netip"
	"testing"
)

func TestAdmit(t *testing.T) {
	for _, tt := range []struct {
		addr, allow string
		in          bool
	}{
		{"192.0.2.1", "", true},
		{"10.1.2.3", "", true}, // where targets usually are
		{"2001:db8::1", "", true},
		{"fd00::1", "", true},
		{"127.0.0.1", "", false},
		{"127.9.9.9", "", false},
		{"127.0.0.1", "127.0.0.1/32", true},
		{"127.0.0.2", "127.0.0.1/32", false},
		{"::1", "", false},
		{"::1", "::1/128", true},
		{"0.0.0.0", "", false},
		{"0.1.2.3", "", false},
		{"::", "", false},
		{"169.254.169.254", "", false},
		{"169.254.1.1", "169.254.0.0/16", true},
		{"fe80::1%eth0", "", false},
		{"febf::1", "", false},
		{"fec0::1", "", true},
		{"224.0.0.1", "", false},
		{"239.255.255.255", "", false},
		{"ff02::1", "", false},
		{"255.255.255.255", "", false},
		{"fd00:ec2::254", "", false},
		{"fd20:ce::254", "", false},
		{"100.100.100.200", "", false},
		{"192.0.0.192", "", false},
		{"168.63.129.16", "", false},
		{"::ffff:127.0.0.1", "", false},
		{"::ffff:169.254.169.254", "", false},
		{"::ffff:192.0.2.1", "", true},
		{"::127.0.0.1", "", false},
		{"64:ff9b::a9fe:a9fe", "", false},
		{"64:ff9b::c000:0201", "", true},
		{"64:ff9b::7f00:1", "127.0.0.0/8", true},
		{"2002:7f00:1::", "", false},
		{"2002:c000:0201::1", "", true},
	} {
		var allow []netip.Prefix
		if tt.allow != "" {
			allow = append(allow, netip.MustParsePrefix(tt.allow))
		}
		if err := admit(netip.MustParseAddr(tt.addr), allow); (err == nil) != tt.in {
			t.Errorf("%s, allowing %q: %v", tt.addr, tt.allow, err)
		}
	}
}
