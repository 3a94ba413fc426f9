package netns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Layout of what a packet socket gives: what is left to be done, Ethernet, IPv4.
const (
	offloadBytes = 10
	sourceAt     = offloadBytes + 14 + 12
	targetAt     = sourceAt + 4
	// frameMax is the longest train of segments that the kernel hands on as one packet.
	frameMax = offloadBytes + 14 + 64<<10
	// portBuffer holds what arrives while this process does not get to read.
	portBuffer = 64 << 20
)

// shaper lets packets between hosts wait. The bridge drops them; the shaper sees them before
// at the port by which they come, keeps them for their time, and hands them to the port
// behind which their target is. It needs nothing of the kernel but packet sockets.
//
// Packets are what the kernel hands on at once: up to 64 KiB of one connection, still to be
// cut and given checksums, as everywhere between virtual links.
type shaper struct {
	hub  string
	wake chan struct{} // holds one token when a packet is due before all others
	stop chan struct{}
	done sync.WaitGroup

	mu     sync.Mutex // guards what follows
	delays *delays
	ports  map[int]*os.File // packet sockets, by the number of the host behind
}

func newShaper(hub string, r *rand.Rand) *shaper {
	s := &shaper{hub: hub, wake: make(chan struct{}, 1), stop: make(chan struct{}), delays: newDelays(r), ports: make(map[int]*os.File)}
	s.done.Go(s.send)
	return s
}

// set replaces what is delayed. Packets on their way arrive as before.
func (s *shaper) set(all map[pair]link) error {
	targets := make(map[int][]int)
	for p := range all {
		targets[p.from] = append(targets[p.from], p.to)
		targets[p.to] = append(targets[p.to], nil...) // a port to send by
	}
	for host := range targets {
		if err := s.open(host); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delays.links = all
	for host, port := range s.ports {
		if err := listenFor(port, targets[host]); err != nil {
			return err
		}
	}
	return nil
}

// open makes the socket of a port, which hears nothing yet.
func (s *shaper) open(host int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ports[host] != nil {
		return nil
	}
	var fd int
	err := enter(s.hub, func() (err error) {
		fd, err = packetSocket(portName(host))
		return err
	})
	if err != nil {
		return fmt.Errorf("packet socket of port %d: %w", host, err)
	}
	port := os.NewFile(uintptr(fd), portName(host))
	s.ports[host] = port
	s.done.Go(func() { s.receive(port) })
	return nil
}

// packetSocket makes a socket on an interface that hears nothing.
func packetSocket(name string) (fd int, err error) {
	dev, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, portBuffer),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, portBuffer),
		filter(fd, nil),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: dev.Index}))
	if err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

func bigEndian(v uint16) uint16 { return binary.NativeEndian.Uint16([]byte{byte(v >> 8), byte(v)}) }

// listenFor lets a port hear packets to some hosts only.
func listenFor(port *os.File, hosts []int) error {
	raw, err := port.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = filter(int(fd), hosts) })
	return errors.Join(err, failed)
}

// filter is a program that keeps IPv4 packets to the hosts.
func filter(fd int, hosts []int) error {
	slices.Sort(hosts)
	left := len(hosts)
	load := func(size uint16, at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_ABS | size, K: at}
	}
	is := func(value uint32, yes, no int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: value, Jt: uint8(yes), Jf: uint8(no)}
	}
	program := []unix.SockFilter{load(unix.BPF_H, 12), is(unix.ETH_P_IP, 0, left+1), load(unix.BPF_W, targetAt-offloadBytes)}
	for i, h := range hosts {
		a := hostAddr(h).As4()
		program = append(program, is(binary.BigEndian.Uint32(a[:]), left-i, 0))
	}
	program = append(program, unix.SockFilter{Code: unix.BPF_RET}, unix.SockFilter{Code: unix.BPF_RET, K: frameMax})
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}

// receive takes what comes by a port until it is closed.
func (s *shaper) receive(port *os.File) {
	buf := make([]byte, frameMax)
	for {
		n, err := port.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil || n < targetAt+4 {
			continue // a link that is down for a moment
		}
		from, to := hostNumber(buf[sourceAt:]), hostNumber(buf[targetAt:])
		frame := slices.Clone(buf[:n])
		s.mu.Lock()
		next := s.delays.add(time.Now(), pair{from, to}, frame)
		s.mu.Unlock()
		if next {
			select {
			case s.wake <- struct{}{}:
			default:
			}
		}
	}
}

// hostNumber is the host of an address, 0 for another.
func hostNumber(addr []byte) int {
	number := int(addr[3])
	if a, _ := netip.AddrFromSlice(addr[:4]); a != hostAddr(number) {
		return 0
	}
	return number
}

// send hands packets on when their time has come.
func (s *shaper) send() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		s.mu.Lock()
		due, wait, more := s.delays.take(time.Now())
		ports := make([]*os.File, len(due))
		for i, p := range due {
			ports[i] = s.ports[p.to]
		}
		s.mu.Unlock()
		for i, p := range due {
			// A packet that cannot be handed on is lost, as others are.
			_, _ = ports[i].Write(p.frame)
		}
		if len(due) > 0 {
			continue
		}
		if !more {
			wait = time.Hour
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.wake:
		case <-s.stop:
			return
		}
	}
}

// crossed counts the bytes of a pair that were not lost, headers of packets included.
func (s *shaper) crossed(p pair) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.delays.crossed[p]
}

// close ends the shaper and says how many packets it never saw for want of time.
func (s *shaper) close() (missed int, err error) {
	close(s.stop)
	s.mu.Lock()
	for _, port := range s.ports {
		n, failed := misses(port)
		missed += n
		err = errors.Join(err, failed, port.Close())
	}
	s.mu.Unlock()
	s.done.Wait()
	return missed, err
}

func misses(port *os.File) (n int, err error) {
	raw, err := port.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		var st *unix.TpacketStats
		if st, failed = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); failed == nil {
			n = int(st.Drops)
		}
	})
	return n, errors.Join(err, failed)
}
