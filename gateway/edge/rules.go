package edge

import (
	"net/netip"
	"slices"
)

// Rules say which addresses are served: of all blocks that hold an address the smallest decides, and one that no
// block holds is served. They do not change; nil serves all.
type Rules struct {
	blocked  map[netip.Prefix]bool
	lengths4 []int // of blocks of IPv4, longest first
	lengths6 []int
}

// NewRules makes rules of blocks; true stands for those that are not served.
func NewRules(blocked map[netip.Prefix]bool) *Rules {
	r := &Rules{blocked: blocked}
	for p := range blocked {
		lengths := &r.lengths6
		if p.Addr().Is4() {
			lengths = &r.lengths4
		}
		if !slices.Contains(*lengths, p.Bits()) {
			*lengths = append(*lengths, p.Bits())
		}
	}
	for _, l := range [][]int{r.lengths4, r.lengths6} {
		slices.SortFunc(l, func(a, b int) int { return b - a })
	}
	return r
}

// Blocks says that an address is not served.
func (r *Rules) Blocks(a netip.Addr) bool {
	if r == nil || len(r.blocked) == 0 {
		return false
	}
	a = a.Unmap().WithZone("")
	lengths := r.lengths6
	if a.Is4() {
		lengths = r.lengths4
	}
	for _, bits := range lengths {
		p, err := a.Prefix(bits)
		if err != nil {
			return false
		}
		if blocked, ok := r.blocked[p]; ok {
			return blocked
		}
	}
	return false
}

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
