package cluster

import (
	"net"
	"strconv"
	"testing"
)

// A server can listen where the port was claimed for it, and again when it has ended; nobody else is given it meanwhile.
func TestClaim(t *testing.T) {
	addr := FreeAddr(t)
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if claim(port) == nil {
			t.Fatal("a port that nobody listens on for the moment was given twice")
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if claim(port) == nil {
			t.Fatal("a port that somebody listens on was given")
		}
		served, err := l.Accept() // its end that closes first keeps the port for a while
		if err != nil {
			t.Fatal(err)
		}
		served.Close()
		c.Close()
		l.Close()
	}
}
