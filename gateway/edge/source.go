package edge

import "net/netip"

// Source is the address that a request comes from; invalid where that is not known, as with pipes.
func Source(remoteAddr string) netip.Addr {
	at, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// SourceBlock is the part of the network that counts as one source: an address of IPv4, and of IPv6 the /64 that
// one subscriber has at least (RFC 6177).
func SourceBlock(a netip.Addr) netip.Addr {
	if !a.Is6() || a.Is4In6() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
