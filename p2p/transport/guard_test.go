package transport

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// refusedConn is a connection from an address and nothing else.
type refusedConn struct {
	net.Conn
	from string
}

func (c refusedConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.from))
}

// A peer that is refused for one reason again and again is one line a minute, and each other one too.
func TestRefusalsAreLoggedSeldom(t *testing.T) {
	var out bytes.Buffer
	g := newGuard(slog.New(slog.NewTextHandler(&out, nil)), newMetrics(nil))
	now := time.Unix(1000, 0)
	g.now = func() time.Time { return now }
	refuse := func(from string, r reason) {
		conn := refusedConn{from: from}
		g.report(&guarded{Conn: conn, g: g, origin: originOf(conn.RemoteAddr())}, r, nil)
	}
	lines := func() int {
		defer out.Reset()
		return strings.Count(out.String(), "\n")
	}
	for range 59 {
		refuse("10.0.0.1:1", reasonFull)
		now = now.Add(time.Second)
	}
	if n := lines(); n != 1 {
		t.Errorf("%d lines of one refusal in a minute", n)
	}
	refuse("10.0.0.2:1", reasonFull)
	refuse("10.0.0.1:1", reasonSlow)
	if n := lines(); n != 2 {
		t.Errorf("%d lines of another address and another reason", n)
	}
	now = now.Add(time.Second)
	refuse("10.0.0.1:2", reasonFull)
	if text := out.String(); lines() != 1 || !strings.Contains(text, "omitted=0") {
		t.Errorf("after a minute: %s", text)
	}
	for i := range 2 * refusalsMax {
		refuse(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 1).String(), reasonFull)
		now = now.Add(2 * time.Second)
	}
	if len(g.told) > refusalsMax {
		t.Errorf("%d refusals are remembered", len(g.told))
	}
}
