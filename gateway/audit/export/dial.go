package export

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// dialer connects to addresses that a target may have. They are looked at when the connection is made, so that what a
// name means then is what counts.
func dialer(timeout time.Duration, allow []netip.Prefix) *net.Dialer {
	return &net.Dialer{Timeout: timeout, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("address %q cannot be judged: %w", address, err)
		}
		return admit(at.Addr(), allow)
	}}
}

// refusedBlocks are addresses that no target has, with why. They are this machine's, its link's, nobody's, or those at
// which clouds tell machines their credentials.
var refusedBlocks = []struct {
	netip.Prefix
	what string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},        // RFC 1122 section 3.2.1.3
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},         // RFC 1122 section 3.2.1.3
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},    // RFC 3927
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},        // RFC 5771
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"}, // RFC 919
	{netip.MustParsePrefix("100.100.100.200/32"), "metadata"},  // Alibaba Cloud
	{netip.MustParsePrefix("192.0.0.192/32"), "metadata"},      // Oracle Cloud
	{netip.MustParsePrefix("168.63.129.16/32"), "metadata"},    // Azure's wire server
	{netip.MustParsePrefix("::/128"), "unspecified"},           // RFC 4291 section 2.5.2
	{netip.MustParsePrefix("::1/128"), "loopback"},             // RFC 4291 section 2.5.3
	{netip.MustParsePrefix("fe80::/10"), "link-local"},         // RFC 4291 section 2.5.6
	{netip.MustParsePrefix("ff00::/8"), "multicast"},           // RFC 4291 section 2.7
	{netip.MustParsePrefix("fd00:ec2::254/128"), "metadata"},   // AWS
	{netip.MustParsePrefix("fd20:ce::254/128"), "metadata"},    // Google Cloud
}

// embedding are blocks of IPv6 addresses that stand for IPv4 addresses, with where these begin, in bytes.
var embedding = []struct {
	netip.Prefix
	at int
}{
	{netip.MustParsePrefix("::/96"), 12},        // RFC 4291 section 2.5.5.1
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // RFC 6052
	{netip.MustParsePrefix("2002::/16"), 2},     // RFC 3056
}

// admit says whether a target may be at an address.
func admit(a netip.Addr, allow []netip.Prefix) error {
	a = a.Unmap().WithZone("")
	for _, p := range allow {
		if p.Contains(a) {
			return nil
		}
	}
	for _, b := range refusedBlocks {
		if b.Contains(a) {
			return fmt.Errorf("the address %v is refused: it is %s; allow-address would allow it", a, b.what)
		}
	}
	for _, e := range embedding {
		if e.Contains(a) {
			whole := a.As16()
			return admit(netip.AddrFrom4([4]byte(whole[e.at:e.at+4])), allow)
		}
	}
	return nil
}
