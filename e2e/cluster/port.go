package cluster

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Ports are chosen below the range from which the kernel takes ports for outgoing
// connections, so that nothing takes one between a kill and the next start.
const (
	portFirst = 20000
	portLast  = 32000
)

var taken struct {
	sync.Mutex // guards ports
	ports      map[int]bool
}

// FreeAddr gives an address on loopback where nothing listens. It is given once only in
// this process.
func FreeAddr(t testing.TB) string {
	t.Helper()
	taken.Lock()
	defer taken.Unlock()
	if taken.ports == nil {
		taken.ports = make(map[int]bool)
	}
	for range 1000 {
		port := portFirst + rand.IntN(portLast-portFirst)
		if taken.ports[port] {
			continue
		}
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		l.Close()
		taken.ports[port] = true
		return addr
	}
	t.Fatal("no free port")
	return ""
}
