package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"shoal/p2p"
	"shoal/p2p/member"
)

// TestMain lets the test binary be the second process of TestTwoProcesses.
func TestMain(m *testing.M) {
	if os.Getenv("SHOAL_TEST_PEER") != "" {
		if err := peerProcess(); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// peerProcess is an echo server. Its environment holds what an operator would have on disk; it
// prints its address and serves until its standard input ends.
func peerProcess() error {
	env := func(name string) []byte {
		b, _ := base64.StdEncoding.DecodeString(os.Getenv(name))
		return b
	}
	id, err := NewIdentity(env("SHOAL_TEST_SEED"))
	if err != nil {
		return err
	}
	cluster, err := member.ParseClusterID(os.Getenv("SHOAL_TEST_CLUSTER"))
	if err != nil {
		return err
	}
	trust := member.NewTrust(member.Cluster{ID: cluster, RootKey: env("SHOAL_TEST_ROOT")}, nil)
	h, err := New(Config{Identity: id, Trust: trust, Credential: env("SHOAL_TEST_CREDENTIAL"), Listen: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	h.Handle(1, p2p.RoleAny, func(_ context.Context, from p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
		return &p2p.Message{Header: []byte(from.ID), Payload: req.Payload}, nil
	})
	h.Handle(1|p2p.MethodBulk, p2p.RoleAny, func(_ context.Context, from p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
		return &p2p.Message{Header: []byte(from.ID), Payload: req.Payload}, nil
	})
	if err := h.Listen(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		bufio.NewReader(os.Stdin).ReadString(0)
		cancel()
	}()
	fmt.Println("listening", h.Addrs()[0])
	return h.Run(ctx)
}

// startPeer runs a second process and returns its address.
func startPeer(t testing.TB, c *testCluster, id *Identity, seed []byte) (addr string, stop func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cluster := c.key.Cluster()
	b64 := base64.StdEncoding.EncodeToString
	cmd.Env = append(os.Environ(), "SHOAL_TEST_PEER=1",
		"SHOAL_TEST_SEED="+b64(seed), "SHOAL_TEST_CLUSTER="+hex.EncodeToString(cluster.ID[:]),
		"SHOAL_TEST_ROOT="+b64(cluster.RootKey), "SHOAL_TEST_CREDENTIAL="+b64(c.credential(id, nil)))
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
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	if err != nil || !ok {
		in.Close()
		cmd.Wait()
		t.Fatalf("second process: %q, %v", line, err)
	}
	return addr, func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("second process: %v", err)
		}
	}
}

func TestTwoProcesses(t *testing.T) {
	c := newCluster(t, p2p.RoleGateway)
	c.start(nil)
	seed := bytes.Repeat([]byte{7}, 32)
	id, err := NewIdentity(seed)
	if err != nil {
		t.Fatal(err)
	}
	addr, stop := startPeer(t, c, id, seed)
	defer stop()
	h := c.nodes[0].host
	h.AddPeer(id.self, addr)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, m := range []p2p.Method{1, 1 | p2p.MethodBulk} {
		for _, size := range []int{0, 100, 5 << 20} {
			payload := bytes.Repeat([]byte{byte(size)}, size)
			resp, err := h.Call(ctx, id.self, m, &p2p.Message{Payload: payload})
			if err != nil {
				t.Fatalf("method %v, %d bytes: %v", m, size, err)
			}
			if string(resp.Header) != string(h.Self()) || !bytes.Equal(resp.Payload, payload) {
				t.Errorf("method %v, %d bytes: wrong answer", m, size)
			}
			resp.Release()
		}
	}
}
