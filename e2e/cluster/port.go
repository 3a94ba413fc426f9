package cluster

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
)

// Ports are chosen below the range from which the kernel takes ports for outgoing
// connections, so that nothing takes one between a kill and the next start.
const (
	portFirst = 20000
	portLast  = 32000
)

// FreeAddr gives an address on loopback where nothing listens. It is given once only, as
// long as this process runs: to this and to other ones that test at the same time.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := portFirst + rand.IntN(portLast-portFirst)
		if claim(port) == nil {
			return fmt.Sprintf("127.0.0.1:%d", port)
		}
	}
	t.Fatal("no free port")
	return ""
}

// claim takes a port of loopback for as long as this process runs, by a socket that is
// bound to it and does not listen. It shares the port (SO_REUSEADDR) from when it has it:
// whoever shares it too, as servers do, can listen there. Another claim, which at first
// does not share, fails.
func claim(port int) error {
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return err
	}
	err = syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	if err == nil {
		err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	}
	if err != nil {
		syscall.Close(fd)
	}
	return err
}
