package edge

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Endpoint names an address to listen on and the flag that sets it.
type Endpoint struct {
	Address string // host:port; port 0 chooses a free one
	Flag    string // as the operator types it, for errors
	TLS     *tls.Config
	// InsecureHTTP allows plain HTTP on addresses that others can reach.
	InsecureHTTP bool
}

// Listen binds an endpoint. Its errors are one line that says what to do.
func Listen(e Endpoint) (net.Listener, error) {
	l, err := net.Listen("tcp", e.Address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("address %s is taken by another process: stop it or choose another with %s", e.Address, e.Flag)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("address %s needs more rights than this process has: choose a port above 1023 with %s", e.Address, e.Flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("address %s is not one of this machine: choose another with %s", e.Address, e.Flag)
	case err != nil:
		return nil, fmt.Errorf("listen on %q (set with %s): %w", e.Address, e.Flag, err)
	}
	if e.TLS == nil && !e.InsecureHTTP && !IsLoopback(l.Addr()) {
		l.Close()
		return nil, fmt.Errorf("address %s can be reached by others and would speak plain HTTP: give --tls-cert and --tls-key, or --acme-domain, "+
			"choose a loopback address with %s, or say --insecure-http", e.Address, e.Flag)
	}
	return l, nil
}

// IsLoopback says whether only this machine reaches an address.
func IsLoopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}
