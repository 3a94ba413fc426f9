package transport

import (
	"fmt"
	"net"
	"strconv"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Listen binds the ports. It is called by Run unless it was before.
func (h *Host) Listen() error {
	if h.started {
		return nil
	}
	h.started = true
	if err := h.listen(); err != nil {
		h.Close()
		return err
	}
	return nil
}

func (h *Host) listen() error {
	host, port, _ := splitAddr(h.cfg.Listen)
	addr, err := listenMultiaddr(host, port)
	if err != nil {
		return fmt.Errorf("listen for peers on %s: %w", h.cfg.Listen, err)
	}
	if err := h.sw.Listen(addr); err != nil {
		return fmt.Errorf("listen for peers on %s: %w", h.cfg.Listen, err)
	}
	if err := h.startNAT(h.up); err != nil {
		return err
	}
	h.bh.Start()
	h.tasks.start(h.sweep)
	if h.cfg.RelayOnly {
		return nil // what cannot be dialled needs no port for it
	}
	if port == 0 {
		port = listenPort(h.sw.ListenAddresses())
	}
	if h.bulkLn, err = listenNear(h.cfg.Bulk, host, port+1); err != nil {
		return fmt.Errorf("listen for bulk transfers: %w", err)
	}
	h.bulkPort = h.bulkLn.Addr().(*net.TCPAddr).Port
	h.tasks.start(h.acceptBulk)
	if h.cfg.Admit != nil {
		if h.joinLn, err = listenNear(h.cfg.Join, host, port+2); err != nil {
			return fmt.Errorf("listen for joins: %w", err)
		}
		h.tasks.start(h.acceptJoins)
	}
	return nil
}

func splitAddr(s string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, fmt.Errorf("address %q: %w", s, err)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("address %q: port must be a number up to 65535", s)
	}
	return host, port, nil
}

// listenMultiaddr resolves a host name, or takes every IPv4 address for an empty one.
func listenMultiaddr(host string, port int) (ma.Multiaddr, error) {
	if host == "" {
		host = "0.0.0.0"
	}
	tcp, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return manet.FromNetAddr(tcp)
}

func listenPort(addrs []ma.Multiaddr) int {
	for _, a := range addrs {
		if text, err := a.ValueForProtocol(ma.P_TCP); err == nil {
			port, _ := strconv.Atoi(text)
			return port
		}
	}
	return 0
}

// listenNear binds the address asked for, or else port on host, or else any port on host.
func listenNear(asked, host string, port int) (net.Listener, error) {
	if asked != "" {
		return net.Listen("tcp", asked)
	}
	if port <= 65535 {
		if ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
			return ln, nil
		}
	}
	return net.Listen("tcp", net.JoinHostPort(host, "0"))
}
