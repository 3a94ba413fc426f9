package cluster

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
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// namespaceDir is where iproute2 keeps the names of network namespaces.
const namespaceDir = "/run/netns"

// prefix begins the name of everything that is made outside the test's own directory.
// The process ID follows it, so that what a dead test left can be told and removed.
const prefix = "shoal-e2e-"

// networks numbers the networks of this process.
var networks atomic.Int64

// sweep removes once what dead tests left.
var sweep = sync.OnceValue(func() error { return errors.Join(sweepMounts(), sweepNamespaces()) })

// hostsMax bounds the hosts of a network, which are numbered from 1.
const hostsMax = 250

// Network is a bridge in a network namespace of its own, and a namespace for each host
// that hangs on it. Nothing of the machine's own network is touched. What the bridge does
// not forward, or forwards late, is decided by Apply.
type Network struct {
	t      testing.TB
	hub    string
	hosts  int
	seed   uint64
	shaper *shaper // made by the first rule that delays
}

// Host is a namespace with an address on a Network.
type Host struct {
	namespace string
	addr      string
	number    int
}

// Addr is the address of the host on its network.
func (h *Host) Addr() string { return h.addr }

// CanNetwork is nil where NewNetwork works, else it says what is missing.
func CanNetwork() error {
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

// NewNetwork makes a network without hosts. It is removed when the test ends.
func NewNetwork(t testing.TB) *Network {
	t.Helper()
	if err := sweep(); err != nil {
		t.Logf("leftovers of earlier tests: %v", err)
	}
	n := &Network{t: t, hub: fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), networks.Add(1))}
	n.addNamespace(n.hub)
	n.ip("-n", n.hub, "link", "add", "br0", "type", "bridge", "forward_delay", "0")
	n.ip("-n", n.hub, "link", "set", "br0", "up")
	return n
}

// AddHost makes a host with the next free address.
func (n *Network) AddHost() *Host {
	n.t.Helper()
	if n.hosts++; n.hosts > hostsMax {
		n.t.Fatalf("a network has at most %d hosts", hostsMax)
	}
	h := &Host{namespace: fmt.Sprintf("%s-%d", n.hub, n.hosts), addr: hostAddr(n.hosts).String(), number: n.hosts}
	n.addNamespace(h.namespace)
	port := portName(n.hosts)
	n.ip("link", "add", port, "netns", n.hub, "type", "veth", "peer", "name", "eth0", "netns", h.namespace)
	n.ip("-n", n.hub, "link", "set", port, "master", "br0", "up")
	n.ip("-n", h.namespace, "link", "set", "lo", "up")
	n.ip("-n", h.namespace, "addr", "add", h.addr+"/24", "dev", "eth0")
	n.ip("-n", h.namespace, "link", "set", "eth0", "up")
	return h
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
func (n *Network) AddHostBehind() (h, router *Host) {
	n.t.Helper()
	router = n.AddHost()
	h = &Host{namespace: router.namespace + "-in", addr: fmt.Sprintf("192.168.%d.2", router.number), number: router.number}
	n.addNamespace(h.namespace)
	n.ip("link", "add", "lan", "netns", router.namespace, "type", "veth", "peer", "name", "eth0", "netns", h.namespace)
	gateway := fmt.Sprintf("192.168.%d.1", router.number)
	n.ip("-n", router.namespace, "addr", "add", gateway+"/24", "dev", "lan")
	n.ip("-n", router.namespace, "link", "set", "lan", "up")
	n.ip("-n", h.namespace, "link", "set", "lo", "up")
	n.ip("-n", h.namespace, "addr", "add", h.addr+"/24", "dev", "eth0")
	n.ip("-n", h.namespace, "link", "set", "eth0", "up")
	n.ip("-n", h.namespace, "route", "add", "default", "via", gateway)
	n.ip("netns", "exec", router.namespace, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	if err := n.nft(router.namespace, translation); err != nil {
		n.t.Fatal(err)
	}
	return h, router
}

// Count counts the bytes that go from one host to another from now on; what it gives reads the count.
func (n *Network) Count(from, to *Host) func() (int64, error) {
	n.t.Helper()
	name := fmt.Sprintf("count%d_%d", from.number, to.number)
	err := n.nft(n.hub, fmt.Sprintf("table bridge %s {\ncounter crossed { }\nchain forward {\ntype filter hook forward priority -10; policy accept;\n"+
		"ip saddr %s ip daddr %s counter name crossed\n}\n}\n", name, from.addr, to.addr))
	if err != nil {
		n.t.Fatal(err)
	}
	return func() (count int64, err error) {
		out, err := exec.Command("ip", "netns", "exec", n.hub, "nft", "list", "counter", "bridge", name, "crossed").CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("nft: %w: %s", err, out)
		}
		_, rest, _ := strings.Cut(string(out), " bytes ")
		_, err = fmt.Sscan(rest, &count)
		return count, err
	}
}

func hostAddr(number int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, 0, byte(number)}) }

// portName is the end of a host's link that hangs on the bridge.
func portName(number int) string { return fmt.Sprintf("p%d", number) }

func (n *Network) addNamespace(name string) {
	n.t.Helper()
	n.ip("netns", "add", name)
	n.t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "delete", name).CombinedOutput(); err != nil {
			n.t.Errorf("remove network namespace %s: %v: %s", name, err, out)
		}
	})
}

func (n *Network) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
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
		n.t.Cleanup(func() {
			if missed, err := n.shaper.close(); missed > 0 || err != nil {
				n.t.Logf("%d delayed packets were lost for want of time, %v", missed, err)
			}
		})
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
	return n.nft(n.hub, b.String())
}

// nft runs commands of nftables in a namespace.
func (n *Network) nft(namespace, commands string) error {
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

// dial connects from inside the host; a nil host is where this process stands.
func (h *Host) dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
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

// start starts a command inside the host.
func (h *Host) start(cmd *exec.Cmd) error {
	if h == nil {
		return cmd.Start()
	}
	return enter(h.namespace, cmd.Start)
}

// sweepNamespaces removes the namespaces of tests that are no more.
func sweepNamespaces() error {
	entries, err := os.ReadDir(namespaceDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var errs []error
	for _, e := range entries {
		if !leftover(e.Name()) {
			continue
		}
		if out, err := exec.Command("ip", "netns", "delete", e.Name()).CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("remove network namespace %s: %w: %s", e.Name(), err, out))
		}
	}
	return errors.Join(append(errs, err)...)
}

// leftover says whether a name was made by a test whose process has ended.
func leftover(name string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
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
