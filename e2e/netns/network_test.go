package netns_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"shoal/e2e/cluster"
	"shoal/e2e/netns"
)

// newNetwork makes a network that is removed when the test ends, with some hosts.
func newNetwork(t *testing.T, hosts int) (*netns.Network, []*netns.Host) {
	t.Helper()
	cluster.Need(t, netns.Available())
	n, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	var all []*netns.Host
	for range hosts {
		h, err := n.AddHost()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	return n, all
}

// listen answers one byte to whoever connects, inside a host.
func listen(t *testing.T, h *netns.Host) string {
	t.Helper()
	l, err := h.Listen(7000)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			// The error is seen by whoever waits for the byte.
			_, _ = c.Write([]byte{1})
			c.Close()
		}
	}()
	return l.Addr().String()
}

// reaches says whether a byte comes from addr to a host. It waits long for what is expected
// to come.
func reaches(t *testing.T, h *netns.Host, addr string, expected bool) bool {
	t.Helper()
	within := 500 * time.Millisecond
	if expected {
		within = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	c, err := h.Dial(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	_, err = c.Read(make([]byte, 1))
	return err == nil
}

func TestNetwork(t *testing.T) {
	n, hosts := newNetwork(t, 3)
	a, b, c := hosts[0], hosts[1], hosts[2]
	addr := listen(t, a)
	for _, step := range []struct {
		name  string
		rules []netns.Rule
		b, c  bool // whether they reach a
	}{
		{"nothing dropped", nil, true, true},
		{"one cut off", []netns.Rule{{From: []*netns.Host{a}, To: []*netns.Host{b}}, {From: []*netns.Host{b}, To: []*netns.Host{a}}}, false, true},
		{"one way", []netns.Rule{{From: []*netns.Host{a}, To: []*netns.Host{b, c}}}, false, false},
		{"the others among themselves", []netns.Rule{{From: []*netns.Host{b, c}, To: []*netns.Host{b, c}}}, true, true},
		{"everything lost", []netns.Rule{{From: []*netns.Host{a}, To: []*netns.Host{c}, LossPercent: 100}}, true, false},
		{"some lost", []netns.Rule{{From: []*netns.Host{a}, To: []*netns.Host{b}, LossPercent: 20}}, true, true},
		{"nobody", []netns.Rule{{From: nil, To: []*netns.Host{a}}}, true, true},
	} {
		if err := n.Apply(step.rules...); err != nil {
			t.Fatal(err)
		}
		if got := reaches(t, b, addr, step.b); got != step.b {
			t.Errorf("%s: the second reaches the first: %v", step.name, got)
		}
		if got := reaches(t, c, addr, step.c); got != step.c {
			t.Errorf("%s: the third reaches the first: %v", step.name, got)
		}
	}
	if reaches(t, nil, addr, false) {
		t.Error("the machine itself reaches a host")
	}
}

func TestLeftover(t *testing.T) {
	for name, want := range map[string]bool{
		netns.Prefix + "999999999-1-2":                      true,
		fmt.Sprintf("%s%d-1", netns.Prefix, os.Getpid()):    false,
		netns.Prefix + "999999999":                          false,
		"other-999999999-1":                                 false,
		filepath.Base(t.TempDir()):                          false,
		fmt.Sprintf("%s%d-volume-3", netns.Prefix, 1<<30-1): true,
	} {
		if got := netns.Leftover(name); got != want {
			t.Errorf("%q: leftover is %v", name, got)
		}
	}
}
