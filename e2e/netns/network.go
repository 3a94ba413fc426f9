package netns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// namespaceDir is where iproute2 keeps the names of network namespaces.
const namespaceDir = "/run/netns"

// Prefix begins the name of everything that is made outside a test's own directory.
// The process ID follows it, so that what a dead test left can be told and removed.
const Prefix = "shoal-e2e-"

// networks numbers the networks of this process.
var networks atomic.Int64

// Sweep removes the namespaces of processes that are no more, once in a process: a second call gives what the first one gave.
var Sweep = sync.OnceValue(sweepNamespaces)

// hostsMax bounds the hosts of a network, which are numbered from 1.
const hostsMax = 250

// Network is a bridge in a network namespace of its own, and a namespace for each host
// that hangs on it. Nothing of the machine's own network is touched. What the bridge does
// not forward, or forwards late, is decided by Apply. It is for one goroutine, but hosts
// may be used from many.
type Network struct {
	hub        string
	namespaces []string // all that were made, the hub first
	hosts      int
	seed       uint64
	shaper     *shaper // made by the first rule that delays
}

// Host is a namespace with an address on a Network.
type Host struct {
	namespace string
	addr      string
	number    int
}

// Addr is the address of the host on its network.
func (h *Host) Addr() string { return h.addr }

// Available is nil where New works, else it says what is missing.
func Available() error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	for _, name := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%s is not installed", name)
		}
	}
	return nil
}

// New makes a network without hosts, which Close removes.
func New() (*Network, error) {
	n := &Network{hub: fmt.Sprintf("%s%d-%d", Prefix, os.Getpid(), networks.Add(1))}
	err := n.addNamespace(n.hub)
	if err == nil {
		err = all(
			[]string{"-n", n.hub, "link", "add", "br0", "type", "bridge", "forward_delay", "0"},
			[]string{"-n", n.hub, "link", "set", "br0", "up"})
	}
	if err != nil {
		_, closed := n.Close()
		return nil, errors.Join(err, closed)
	}
	return n, nil
}

// Close removes the network and says how many delayed packets were lost because this process got
// no time to hand them on. Processes on its hosts must have ended. It may be called once.
func (n *Network) Close() (missed int, err error) {
	if n.shaper != nil {
		missed, err = n.shaper.close()
	}
	for _, name := range n.namespaces {
		if failed := ip("netns", "delete", name); failed != nil {
			err = errors.Join(err, fmt.Errorf("remove network namespace %s: %w", name, failed))
		}
	}
	return missed, err
}

// AddHost makes a host with the next free address.
func (n *Network) AddHost() (*Host, error) {
	if n.hosts++; n.hosts > hostsMax {
		return nil, fmt.Errorf("a network has at most %d hosts", hostsMax)
	}
	h := &Host{namespace: fmt.Sprintf("%s-%d", n.hub, n.hosts), addr: hostAddr(n.hosts).String(), number: n.hosts}
	if err := n.addNamespace(h.namespace); err != nil {
		return nil, err
	}
	port := portName(n.hosts)
	return h, all(
		[]string{"link", "add", port, "netns", n.hub, "type", "veth", "peer", "name", "eth0", "netns", h.namespace},
		[]string{"-n", n.hub, "link", "set", port, "master", "br0", "up"},
		[]string{"-n", h.namespace, "link", "set", "lo", "up"},
		[]string{"-n", h.namespace, "addr", "add", h.addr + "/24", "dev", "eth0"},
		[]string{"-n", h.namespace, "link", "set", "eth0", "up"})
}

// translation makes a host translate the addresses of what leaves it for the network, and drop what nobody behind it asked for.
const translation = `
table ip nat {
	chain out { type nat hook postrouting priority srcnat; oifname "eth0" masquerade; }
}
table ip filter {
	chain in { type filter hook input priority filter; iifname "eth0" ct state new drop; }
	chain through { type filter hook forward priority filter; iifname "eth0" ct state new drop; }
}
`

// AddHostBehind makes a host that nothing on the network can dial: it stands behind another one, the router, which
// translates its address and keeps ports.
func (n *Network) AddHostBehind() (h, router *Host, err error) {
	if router, err = n.AddHost(); err != nil {
		return nil, nil, err
	}
	h = &Host{namespace: router.namespace + "-in", addr: fmt.Sprintf("192.168.%d.2", router.number), number: router.number}
	if err := n.addNamespace(h.namespace); err != nil {
		return nil, nil, err
	}
	gateway := fmt.Sprintf("192.168.%d.1", router.number)
	err = all(
		[]string{"link", "add", "lan", "netns", router.namespace, "type", "veth", "peer", "name", "eth0", "netns", h.namespace},
		[]string{"-n", router.namespace, "addr", "add", gateway + "/24", "dev", "lan"},
		[]string{"-n", router.namespace, "link", "set", "lan", "up"},
		[]string{"-n", h.namespace, "link", "set", "lo", "up"},
		[]string{"-n", h.namespace, "addr", "add", h.addr + "/24", "dev", "eth0"},
		[]string{"-n", h.namespace, "link", "set", "eth0", "up"},
		[]string{"-n", h.namespace, "route", "add", "default", "via", gateway},
		[]string{"netns", "exec", router.namespace, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"})
	if err != nil {
		return nil, nil, err
	}
	return h, router, nft(router.namespace, translation)
}

// Count counts the bytes that go from one host to another from now on; what it gives reads the count.
func (n *Network) Count(from, to *Host) (read func() (int64, error), err error) {
	name := fmt.Sprintf("count%d_%d", from.number, to.number)
	err = nft(n.hub, fmt.Sprintf("table bridge %s {\ncounter crossed { }\nchain forward {\ntype filter hook forward priority -10; policy accept;\n"+
		"ip saddr %s ip daddr %s counter name crossed\n}\n}\n", name, from.addr, to.addr))
	return func() (count int64, err error) {
		out, err := exec.Command("ip", "netns", "exec", n.hub, "nft", "list", "counter", "bridge", name, "crossed").CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("nft: %w: %s", err, out)
		}
		_, rest, _ := strings.Cut(string(out), " bytes ")
		_, err = fmt.Sscan(rest, &count)
		return count, err
	}, err
}

func hostAddr(number int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, 0, byte(number)}) }

// portName is the end of a host's link that hangs on the bridge.
func portName(number int) string { return fmt.Sprintf("p%d", number) }

func (n *Network) addNamespace(name string) error {
	if err := ip("netns", "add", name); err != nil {
		return err
	}
	n.namespaces = append(n.namespaces, name)
	return nil
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// all runs ip with each of these arguments, up to the first failure.
func all(commands ...[]string) error {
	for _, args := range commands {
		if err := ip(args...); err != nil {
			return err
		}
	}
	return nil
}

// Rule is what happens to packets on their way from some hosts to others: they are lost or
// come late.
type Rule struct {
	From, To    []*Host
	LossPercent int // of packets, drawn; 100 loses all, and so does 0 without a delay

	// Delay is how long a packet takes that is not lost, Jitter by how much at most that is less or
	// more. Packets of two hosts overtake each other only where Overtake says so.
	Delay, Jitter time.Duration
	Overtake      bool
}

func (r Rule) dropsAll() bool { return r.LossPercent >= 100 || r.LossPercent <= 0 && r.Delay == 0 }

// Seed is what delays and losses of delayed packets are drawn from. It must be called before
// any rule delays.
func (n *Network) Seed(seed uint64) { n.seed = seed }

// Apply replaces what is lost and delayed. What is lost changes at one instant. No rules:
// everything is forwarded at once.
func (n *Network) Apply(rules ...Rule) error {
	delayed := links(rules)
	if n.shaper == nil && len(delayed) > 0 {
		n.shaper = newShaper(n.hub, rand.New(rand.NewPCG(n.seed, 3)))
	}
	if n.shaper == nil {
		return n.drop(rules)
	}
	return errors.Join(n.shaper.set(delayed), n.drop(rules))
}

// drop sets what the bridge does not forward: all that a rule is about, or, where no packet is
// delayed, the share that gets lost.
func (n *Network) drop(rules []Rule) error {
	var b strings.Builder
	b.WriteString("table bridge faults\ndelete table bridge faults\ntable bridge faults {\n" +
		"chain forward {\ntype filter hook forward priority 0; policy accept;\n")
	for _, r := range rules {
		if len(r.From) == 0 || len(r.To) == 0 {
			continue
		}
		loss := ""
		if r.Delay == 0 && !r.dropsAll() {
			loss = fmt.Sprintf(" numgen random mod 100 < %d", r.LossPercent)
		}
		fmt.Fprintf(&b, "ip saddr { %s } ip daddr { %s }%s drop\n", addrs(r.From), addrs(r.To), loss)
	}
	b.WriteString("}\n}\n")
	return nft(n.hub, b.String())
}

// nft runs commands of nftables in a namespace.
func nft(namespace, commands string) error {
	cmd := exec.Command("nft", "-f", "-")
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(commands), &out, &out
	if err := enter(namespace, cmd.Start); err != nil {
		return fmt.Errorf("nft: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out.String())
	}
	return nil
}

// Crossed counts the bytes that went from some hosts to others and were delayed, headers
// of packets included.
func (n *Network) Crossed(from, to []*Host) (sum int64) {
	if n.shaper != nil {
		each(Rule{From: from, To: to}, func(p pair) { sum += n.shaper.crossed(p) })
	}
	return sum
}

func addrs(hosts []*Host) string {
	list := make([]string, len(hosts))
	for i, h := range hosts {
		list[i] = h.addr
	}
	return strings.Join(list, ", ")
}

// Dial connects from inside the host; a nil host is where this process stands.
func (h *Host) Dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	if h == nil {
		return d.DialContext(ctx, network, addr)
	}
	err = enter(h.namespace, func() error {
		conn, err = d.DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// Listen listens for TCP on a port of the host's address.
func (h *Host) Listen(port int) (l net.Listener, err error) {
	err = enter(h.namespace, func() error {
		l, err = net.Listen("tcp", net.JoinHostPort(h.addr, strconv.Itoa(port)))
		return err
	})
	return l, err
}

// Start starts a command inside the host; a nil host is where this process stands.
func (h *Host) Start(cmd *exec.Cmd) error {
	if h == nil {
		return cmd.Start()
	}
	return enter(h.namespace, cmd.Start)
}

func sweepNamespaces() error {
	entries, err := os.ReadDir(namespaceDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var errs []error
	for _, e := range entries {
		if !Leftover(e.Name()) {
			continue
		}
		if out, err := exec.Command("ip", "netns", "delete", e.Name()).CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("remove network namespace %s: %w: %s", e.Name(), err, out))
		}
	}
	return errors.Join(append(errs, err)...)
}

// Leftover says whether a name was made by a process that has ended.
func Leftover(name string) bool {
	rest, ok := strings.CutPrefix(name, Prefix)
	if !ok {
		return false
	}
	var pid int
	if _, err := fmt.Sscanf(rest, "%d-", &pid); err != nil {
		return false
	}
	_, err := os.Stat(filepath.Join("/proc", fmt.Sprint(pid)))
	return errors.Is(err, os.ErrNotExist)
}
