package discovery

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"shoal/p2p"
	"shoal/p2p/member"
	"shoal/p2p/transport"
)

// The tests in this file run members in network namespaces of their own, with this very program as
// the member. They need root, ip and, behind a NAT, nft.

// nodeEnv makes this program be a member: its value is a nodeSpec.
const nodeEnv = "SHOAL_DISCOVERY_NODE"

func TestMain(m *testing.M) {
	if spec := os.Getenv(nodeEnv); spec != "" {
		if err := beNode(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// nodeSpec is what a member is told at its start.
type nodeSpec struct {
	Cluster    member.Cluster
	Seed       []byte
	Credential []byte
	Listen     string
	Edge, MDNS bool
	Bootstrap  p2p.NodeID // may be empty
	Addrs      []string   // of Bootstrap
}

const (
	methodSmall = 1
	methodBulk  = 2 | p2p.MethodBulk
	bulkBytes   = 4 << 20
)

// beNode is a member until its input ends. It answers each line: "call ID" makes a small and a large
// call, "path ID" says how it is connected, "addrs" lists its addresses.
func beNode(text string) error {
	var spec nodeSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	id, err := transport.NewIdentity(spec.Seed)
	if err != nil {
		return err
	}
	trust := member.NewTrust(spec.Cluster, nil)
	host, err := transport.New(transport.Config{
		Identity: id, Trust: trust, Credential: spec.Credential, Listen: spec.Listen, RelayOnly: spec.Edge,
		Log: nodeLog(),
	})
	if err != nil {
		return err
	}
	echo := func(_ context.Context, _ p2p.Peer, m *p2p.Message) (*p2p.Message, error) {
		return &p2p.Message{Payload: m.Payload}, nil
	}
	host.Handle(methodSmall, p2p.RoleAny, echo)
	host.Handle(methodBulk, p2p.RoleAny, echo)
	d, err := New(Config{
		Host: host.LibP2P(), Trust: trust, Client: spec.Edge, MDNS: spec.MDNS,
		Members: func() []member.Member {
			if spec.Bootstrap == "" {
				return nil
			}
			return []member.Member{{Peer: spec.Bootstrap, State: member.StateActive, Addrs: spec.Addrs}}
		},
		Connect: func(ctx context.Context, id p2p.NodeID, addrs []string) error {
			host.AddPeer(id, addrs...)
			return host.Connect(ctx, id)
		},
	})
	if err != nil {
		return err
	}
	host.SetResolver(d)
	if err := host.Listen(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- host.Run(ctx) }()
	go func() { ended <- d.Run(ctx) }()
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println(strings.ReplaceAll(obey(ctx, host, in.Text()), "\n", " "))
	}
	cancel()
	return errors.Join(<-ended, <-ended)
}

// nodeLog is where a member logs to: nowhere, unless SHOAL_TEST_LOG is set.
func nodeLog() *slog.Logger {
	if os.Getenv("SHOAL_TEST_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func obey(ctx context.Context, host *transport.Host, line string) string {
	verb, arg, _ := strings.Cut(line, " ")
	switch verb {
	case "call":
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		for _, c := range []struct {
			m    p2p.Method
			size int
		}{{methodSmall, 100}, {methodBulk, bulkBytes}} {
			sent := bytes.Repeat([]byte{byte(c.size)}, c.size)
			resp, err := host.Call(ctx, p2p.NodeID(arg), c.m, &p2p.Message{Payload: sent})
			if err != nil {
				return err.Error()
			}
			if !bytes.Equal(resp.Payload, sent) {
				return "other bytes came back"
			}
			resp.Release()
		}
		return "ok"
	case "path":
		pid, err := peer.Decode(arg)
		if err != nil {
			return err.Error()
		}
		path := "none"
		for _, c := range host.LibP2P().Network().ConnsToPeer(pid) {
			if !c.Stat().Limited {
				return "direct"
			}
			path = "relayed"
		}
		return path
	case "addrs":
		return strings.Join(host.Addrs(), " ")
	}
	return "what?"
}

// nodeProcess is a member in a namespace.
type nodeProcess struct {
	t   *testing.T
	id  p2p.NodeID
	in  io.WriteCloser
	out *bufio.Scanner
}

// startProcess runs a member in a namespace until the test ends.
func startProcess(t *testing.T, ns string, issuer *member.Issuer, spec nodeSpec) *nodeProcess {
	t.Helper()
	spec.Seed = bytes.Repeat([]byte(ns[len(ns)-1:]), 32)
	id, err := transport.NewIdentity(spec.Seed)
	if err != nil {
		t.Fatal(err)
	}
	spec.Cluster = issuer.Cluster()
	spec.Credential, err = issuer.Issue(member.Credential{Peer: id.NodeID(), Roles: p2p.RoleNode, Serial: 1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", ns, program)
	cmd.Env = append(os.Environ(), nodeEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		kill := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("member in %s: %v", ns, err)
		}
	})
	return &nodeProcess{t: t, id: id.NodeID(), in: in, out: bufio.NewScanner(out)}
}

// ask sends a line and returns the answer.
func (p *nodeProcess) ask(line string) string {
	p.t.Helper()
	fmt.Fprintln(p.in, line)
	if !p.out.Scan() {
		p.t.Fatalf("the member ended instead of answering to %q", line)
	}
	return p.out.Text()
}

// until asks until the answer is the one wanted.
func (p *nodeProcess) until(line, want string) {
	p.t.Helper()
	last := ""
	p.t.Cleanup(func() {
		if p.t.Failed() && last != want {
			p.t.Logf("last answer to %q: %s", line, last)
		}
	})
	eventually(p.t, fmt.Sprintf("%q to %q", want, line), func() bool {
		last = p.ask(line)
		return last == want
	})
}

// missing skips a test for want of something, and fails it where everything must be there.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// namespaces makes network namespaces, one for each letter, and returns their names. They are gone
// when the test has ended.
func namespaces(t *testing.T, programs []string, letters string) map[string]string {
	t.Helper()
	if testing.Short() {
		t.Skip("network namespaces")
	}
	if os.Getuid() != 0 {
		missing(t, "network namespaces need root")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing(t, "%s is not installed", p)
		}
	}
	names := make(map[string]string)
	for _, l := range strings.Split(letters, "") {
		ns := fmt.Sprintf("shoal%d%s", os.Getpid(), l)
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			missing(t, "no network namespaces here: %s", out)
		}
		t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
		names[l] = ns
		run(t, "ip", "-n", ns, "link", "set", "lo", "up")
	}
	return names
}

func run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// wire joins two namespaces by a cable.
func wire(t *testing.T, nsA, devA, addrA, nsB, devB, addrB string) {
	t.Helper()
	run(t, "ip", "link", "add", devA, "netns", nsA, "type", "veth", "peer", "name", devB, "netns", nsB)
	for _, end := range [][3]string{{nsA, devA, addrA}, {nsB, devB, addrB}} {
		if end[2] != "" {
			run(t, "ip", "-n", end[0], "addr", "add", end[2], "dev", end[1])
		}
		run(t, "ip", "-n", end[0], "link", "set", end[1], "up")
	}
}

// natRules makes a namespace translate what leaves by dev wan, and drop what nobody inside asked for.
const natRules = `
table ip nat {
	chain out { type nat hook postrouting priority srcnat; oifname "wan" masquerade %s; }
}
table ip filter {
	chain in { type filter hook input priority filter; iifname "wan" ct state new drop; }
	chain through { type filter hook forward priority filter; iifname "wan" ct state new drop; }
}`

// TestBehindNAT: two members behind a NAT each, and one that all can dial. The two exchange small and
// large messages through it; where their NATs keep ports they end up with a direct connection, and
// where they do not, on the relay.
func TestBehindNAT(t *testing.T) {
	for _, tc := range []struct{ name, masquerade, path string }{
		{"ports are kept", "", "direct"},
		{"ports are random", "fully-random", "relayed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// w: the internet, with the public member; n and m: NATs; a and b: behind them.
			ns := namespaces(t, []string{"ip", "nft"}, "wnmab")
			w := ns["w"]
			run(t, "ip", "-n", w, "link", "add", "net", "type", "bridge")
			run(t, "ip", "-n", w, "addr", "add", "11.0.0.1/24", "dev", "net")
			run(t, "ip", "-n", w, "link", "set", "net", "up")
			for i, side := range []struct{ nat, inside string }{{"n", "a"}, {"m", "b"}} {
				nat, inside := ns[side.nat], ns[side.inside]
				port, lan := "port"+side.nat, fmt.Sprintf("192.168.%d.", i+1)
				wire(t, w, port, "", nat, "wan", fmt.Sprintf("11.0.0.%d/24", i+11))
				run(t, "ip", "-n", w, "link", "set", port, "master", "net")
				wire(t, nat, "lan", lan+"1/24", inside, "eth", lan+"2/24")
				run(t, "ip", "-n", inside, "route", "add", "default", "via", lan+"1")
				run(t, "ip", "netns", "exec", nat, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
				nft := exec.Command("ip", "netns", "exec", nat, "nft", "-f", "-")
				nft.Stdin = strings.NewReader(fmt.Sprintf(natRules, tc.masquerade))
				if out, err := nft.CombinedOutput(); err != nil {
					missing(t, "no address translation in this kernel: %s", out)
				}
			}
			issuer := member.NewClusterKey(member.NewClusterID(), nil).NewIssuer(nil, 1, time.Now())
			public := startProcess(t, w, issuer, nodeSpec{Listen: "11.0.0.1:4001"})
			edge := nodeSpec{Listen: "0.0.0.0:4001", Edge: true, Bootstrap: public.id, Addrs: strings.Fields(public.ask("addrs"))}
			a, b := startProcess(t, ns["a"], issuer, edge), startProcess(t, ns["b"], issuer, edge)
			// Nobody has told them each other's addresses: the DHT knows them from the public member.
			a.until("call "+string(b.id), "ok")
			b.until("call "+string(a.id), "ok")
			public.until("call "+string(a.id), "ok")
			public.until("call "+string(b.id), "ok")
			a.until("path "+string(b.id), tc.path)
			b.until("path "+string(a.id), tc.path)
			a.until("call "+string(b.id), "ok")
			b.until("call "+string(a.id), "ok")
		})
	}
}

// TestLocalNetwork: two members that know nobody find each other by mDNS.
func TestLocalNetwork(t *testing.T) {
	ns := namespaces(t, []string{"ip"}, "ab")
	wire(t, ns["a"], "eth", "10.77.0.1/24", ns["b"], "eth", "10.77.0.2/24")
	for _, n := range ns {
		run(t, "ip", "-n", n, "route", "add", "224.0.0.0/4", "dev", "eth")
	}
	issuer := member.NewClusterKey(member.NewClusterID(), nil).NewIssuer(nil, 1, time.Now())
	a := startProcess(t, ns["a"], issuer, nodeSpec{Listen: "10.77.0.1:4001", MDNS: true})
	b := startProcess(t, ns["b"], issuer, nodeSpec{Listen: "10.77.0.2:4001", MDNS: true})
	a.until("path "+string(b.id), "direct")
	b.until("path "+string(a.id), "direct")
	a.until("call "+string(b.id), "ok")
}
