package edge

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The PROXY protocol (https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt), by which a proxy that passes
// bytes on says where they come from.

const (
	lineMax = 107 // bytes of a header of version 1, its end included
	// blockMax bounds a header of version 2 behind its first 16 bytes: two addresses, and more that is not looked at.
	blockMax = 2048
	v2Fixed  = 16
)

var (
	v1Begin = []byte("PROXY ")
	v2Begin = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

var errProxyHeader = errors.New("no PROXY header that can be read")

// readProxyHeader reads the header at the start of a connection, and no byte behind it. The source is invalid
// where the proxy speaks for itself or does not know.
func readProxyHeader(r io.Reader) (source netip.AddrPort, err error) {
	var head [v2Fixed]byte
	// The shortest header, "PROXY UNKNOWN\r\n", has 15 bytes.
	if _, err := io.ReadFull(r, head[:len(v2Begin)]); err != nil {
		return source, err
	}
	switch {
	case bytes.Equal(head[:len(v2Begin)], v2Begin):
		if _, err := io.ReadFull(r, head[len(v2Begin):]); err != nil {
			return source, err
		}
		return readBlock(r, head)
	case bytes.HasPrefix(head[:], v1Begin):
		return readLine(r, head[:len(v2Begin)])
	}
	return source, errProxyHeader
}

// readLine reads the rest of a header of version 1 (section 2.1). It goes byte by byte: what follows is not ours.
func readLine(r io.Reader, line []byte) (source netip.AddrPort, err error) {
	line = append(make([]byte, 0, lineMax), line...)
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if len(line) == lineMax {
			return source, errProxyHeader
		}
		if _, err := io.ReadFull(r, line[len(line):len(line)+1]); err != nil {
			return source, err
		}
		line = line[:len(line)+1]
	}
	words := strings.Split(string(line[:len(line)-2]), " ")
	if words[1] == "UNKNOWN" {
		return source, nil
	}
	if len(words) != 6 {
		return source, errProxyHeader
	}
	from, err := netip.ParseAddr(words[2])
	to, err2 := netip.ParseAddr(words[3])
	fromPort, err3 := parsePort(words[4])
	_, err4 := parsePort(words[5])
	if errors.Join(err, err2, err3, err4) != nil || from.Zone() != "" {
		return source, errProxyHeader
	}
	switch {
	case words[1] == "TCP4" && from.Is4() && to.Is4(), words[1] == "TCP6" && from.Is6() && to.Is6():
		return netip.AddrPortFrom(from.Unmap(), fromPort), nil
	}
	return source, errProxyHeader
}

// parsePort reads a port without sign or leading zero.
func parsePort(text string) (uint16, error) {
	ap, err := netip.ParseAddrPort("0.0.0.0:" + text)
	if err != nil || len(text) > 1 && text[0] == '0' {
		return 0, errProxyHeader
	}
	return ap.Port(), nil
}

// readBlock reads the rest of a header of version 2 (section 2.2).
func readBlock(r io.Reader, head [v2Fixed]byte) (source netip.AddrPort, err error) {
	version, command, family := head[12]>>4, head[12]&15, head[13]
	size := int(binary.BigEndian.Uint16(head[14:]))
	if version != 2 || command > 1 || size > blockMax {
		return source, errProxyHeader
	}
	block := make([]byte, size)
	if _, err := io.ReadFull(r, block); err != nil {
		return source, err
	}
	if command == 0 { // LOCAL: the proxy asks for itself
		return source, nil
	}
	switch family {
	case 0x11: // TCP over IPv4
		if size < 12 {
			return source, errProxyHeader
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(block[:4])), binary.BigEndian.Uint16(block[8:])), nil
	case 0x21: // TCP over IPv6
		if size < 36 {
			return source, errProxyHeader
		}
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(block[:16])).Unmap(), binary.BigEndian.Uint16(block[32:])), nil
	case 0: // not said
		return source, nil
	}
	return source, errProxyHeader
}

// proxiedListener reads the PROXY header of connections from trusted proxies. Others are what they seem.
type proxiedListener struct {
	net.Listener
	proxies *Proxies
	timeout time.Duration // of a header
	refused *atomic.Uint64
}

// Accept gives the next connection; its header is read by its first user.
func (l *proxiedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil || !l.proxies.trusts(addressOf(conn)) {
		return conn, err
	}
	return &proxiedConn{Conn: conn, listener: l}, nil
}

// proxiedConn is a connection that begins with a PROXY header.
type proxiedConn struct {
	net.Conn
	listener *proxiedListener
	once     sync.Once
	source   net.Addr // nil where the header names none
	err      error
}

// begin reads the header once. A connection without a good one gives nothing.
func (c *proxiedConn) begin() {
	c.once.Do(func() {
		c.Conn.SetReadDeadline(time.Now().Add(c.listener.timeout))
		source, err := readProxyHeader(c.Conn)
		c.Conn.SetReadDeadline(time.Time{})
		if err != nil {
			// net/http ends a connection that cannot be read without an answer.
			c.err = &net.OpError{Op: "read", Net: "tcp", Addr: c.Conn.RemoteAddr(), Err: err}
			c.listener.refused.Add(1)
			return
		}
		if source.IsValid() {
			c.source = net.TCPAddrFromAddrPort(source)
		}
	})
}

// Read reads behind the header.
func (c *proxiedConn) Read(p []byte) (int, error) {
	if c.begin(); c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(p)
}

// RemoteAddr is where the proxy says that the connection comes from.
func (c *proxiedConn) RemoteAddr() net.Addr {
	if c.begin(); c.source != nil {
		return c.source
	}
	return c.Conn.RemoteAddr()
}

// CloseWrite ends the answers, as that of a gatherer.
func (c *proxiedConn) CloseWrite() error { return closeWrite(c.Conn) }

// NetConn gives the connection of the proxy.
func (c *proxiedConn) NetConn() net.Conn { return c.Conn }
