package api

import (
	"net/netip"
	"slices"
)

// IPFilter says which addresses are served: of all blocks that hold an address the smallest decides, and one that no
// block holds is served. It does not change; nil serves all.
type IPFilter struct {
	blocked  map[netip.Prefix]bool
	lengths4 []int // of blocks of IPv4, longest first
	lengths6 []int
}

// NewIPFilter makes one of rules of one scope.
func NewIPFilter(rules []IPRule) *IPFilter {
	f := &IPFilter{blocked: make(map[netip.Prefix]bool, len(rules))}
	for _, r := range rules {
		p := r.Prefix
		f.blocked[p] = r.Verdict == IPBlock
		lengths := &f.lengths6
		if p.Addr().Is4() {
			lengths = &f.lengths4
		}
		if !slices.Contains(*lengths, p.Bits()) {
			*lengths = append(*lengths, p.Bits())
		}
	}
	for _, l := range [][]int{f.lengths4, f.lengths6} {
		slices.SortFunc(l, func(a, b int) int { return b - a })
	}
	return f
}

// Blocks says that an address is not served.
func (f *IPFilter) Blocks(a netip.Addr) bool {
	if f == nil || len(f.blocked) == 0 {
		return false
	}
	a = a.Unmap().WithZone("")
	lengths := f.lengths6
	if a.Is4() {
		lengths = f.lengths4
	}
	for _, bits := range lengths {
		p, err := a.Prefix(bits)
		if err != nil {
			return false
		}
		if blocked, ok := f.blocked[p]; ok {
			return blocked
		}
	}
	return false
}
