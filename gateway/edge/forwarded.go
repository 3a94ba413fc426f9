package edge

import (
	"context"
	"net/http"
	"net/netip"
	"strings"

	"shoal/node/api"
)

// Proxies says which proxies are believed about where a request comes from. The zero value believes none.
type Proxies struct {
	// Trusted are their addresses.
	Trusted []netip.Prefix
	// Header is the one that they write: "X-Forwarded-For", with X-Forwarded-Proto beside it, or "Forwarded"
	// (RFC 7239). The other is not looked at: a client may have written it. Default X-Forwarded-For.
	Header string
}

// Names of the headers of proxies.
const (
	HeaderXForwardedFor = "X-Forwarded-For"
	HeaderForwarded     = "Forwarded"

	headerXForwardedProto = "X-Forwarded-Proto"
)

// ParsePrefixes reads CIDR blocks; an address alone is a block of one.
func ParsePrefixes(list []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(list))
	for _, text := range list {
		p, err := api.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// trusts says whether an address is that of a proxy that is believed.
func (p *Proxies) trusts(a netip.Addr) bool {
	for _, t := range p.Trusted {
		if t.Contains(a) {
			return true
		}
	}
	return false
}

// origin is where a request comes from.
type origin struct {
	source netip.AddrPort // port 0 when it is not known
	secure bool           // it came over TLS to the proxy that is nearest to the client
}

// origin finds out where a request from a proxy comes from: the last hop that is no trusted proxy. A hop
// that cannot be read is where knowledge ends: the proxy that named it is the source.
func (p *Proxies) origin(peer netip.AddrPort, secure bool, h http.Header) origin {
	at := origin{peer, secure}
	if !p.trusts(peer.Addr()) {
		return at
	}
	if p.Header == HeaderForwarded {
		return p.forwarded(at, h)
	}
	if proto := h[headerXForwardedProto]; len(proto) > 0 {
		_, nearest, _ := cutLast(proto[len(proto)-1], ',')
		at.secure = strings.EqualFold(strings.TrimSpace(nearest), "https")
	}
	values := h[HeaderXForwardedFor]
	for i := len(values) - 1; i >= 0; i-- {
		for rest, more := values[i], true; more; {
			var hop string
			rest, hop, more = cutLast(rest, ',')
			source, ok := parseHop(strings.TrimSpace(hop))
			if !ok {
				return at
			}
			if at.source = source; !p.trusts(source.Addr()) {
				return at
			}
		}
	}
	return at
}

// forwarded is origin by the header of RFC 7239.
func (p *Proxies) forwarded(at origin, h http.Header) origin {
	values := h[HeaderForwarded]
	for i := len(values) - 1; i >= 0; i-- {
		for rest, more := values[i], true; more; {
			var element string
			rest, element, more = cutLast(rest, ',')
			source, proto, ok := parseForwarded(element)
			if !ok {
				return at
			}
			if proto != "" {
				at.secure = strings.EqualFold(proto, "https")
			}
			if at.source = source; !p.trusts(source.Addr()) {
				return at
			}
		}
	}
	return at
}

// cutLast cuts at the last separator. Without one all is after it.
func cutLast(s string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

// parseForwarded reads an element of Forwarded (RFC 7239, section 4): parameters between semicolons. Values here have
// no commas or semicolons in quotes: what has is not understood.
func parseForwarded(element string) (source netip.AddrPort, proto string, ok bool) {
	for _, pair := range strings.Split(element, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		switch {
		case strings.EqualFold(name, "for"):
			source, ok = parseHop(value)
		case strings.EqualFold(name, "proto"):
			proto = value
		}
	}
	return source, proto, ok
}

// parseHop reads an address, with a port or without.
func parseHop(text string) (netip.AddrPort, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(a.Unmap().WithZone(""), 0), true
	}
	if inside, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inside, "]") {
		a, err := netip.ParseAddr(inside[:len(inside)-1])
		return netip.AddrPortFrom(a.Unmap().WithZone(""), 0), err == nil
	}
	ap, err := netip.ParseAddrPort(text)
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port()), err == nil
}

type secureKey struct{}

// fromOrigin makes a request as its client sent it: RemoteAddr is where it comes from, and Secure tells
// whether it came over TLS.
func (p *Proxies) fromOrigin(r *http.Request) *http.Request {
	if len(p.Trusted) == 0 {
		return r
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r
	}
	peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	at := p.origin(peer, r.TLS != nil, r.Header)
	if at.source != peer {
		r.RemoteAddr = at.source.String()
	}
	if r.TLS != nil && p.trusts(peer.Addr()) { // the certificate of a proxy is not its client's
		state := *r.TLS
		state.PeerCertificates, state.VerifiedChains = nil, nil
		r.TLS = &state
	}
	if at.secure != (r.TLS != nil) {
		r = r.WithContext(context.WithValue(r.Context(), secureKey{}, at.secure))
	}
	return r
}

// Secure says whether a request came over TLS, to this server or to a trusted proxy before it.
func Secure(r *http.Request) bool {
	if secure, ok := r.Context().Value(secureKey{}).(bool); ok {
		return secure
	}
	return r.TLS != nil
}
