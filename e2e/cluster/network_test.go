package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// listen answers one byte to whoever connects, inside a host.
func listen(t *testing.T, h *Host) string {
	t.Helper()
	var l net.Listener
	err := enter(h.namespace, func() (err error) {
		l, err = net.Listen("tcp", h.addr+":7000")
		return err
	})
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
func reaches(t *testing.T, h *Host, addr string, expected bool) bool {
	t.Helper()
	within := 500 * time.Millisecond
	if expected {
		within = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	c, err := h.dial(ctx, "tcp", addr)
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
	Need(t, CanNetwork())
	n := NewNetwork(t)
	a, b, c := n.AddHost(), n.AddHost(), n.AddHost()
	addr := listen(t, a)
	for _, step := range []struct {
		name  string
		rules []Rule
		b, c  bool // whether they reach a
	}{
		{"nothing dropped", nil, true, true},
		{"one cut off", []Rule{{From: []*Host{a}, To: []*Host{b}}, {From: []*Host{b}, To: []*Host{a}}}, false, true},
		{"one way", []Rule{{From: []*Host{a}, To: []*Host{b, c}}}, false, false},
		{"the others among themselves", []Rule{{From: []*Host{b, c}, To: []*Host{b, c}}}, true, true},
		{"everything lost", []Rule{{From: []*Host{a}, To: []*Host{c}, LossPercent: 100}}, true, false},
		{"some lost", []Rule{{From: []*Host{a}, To: []*Host{b}, LossPercent: 20}}, true, true},
		{"nobody", []Rule{{From: nil, To: []*Host{a}}}, true, true},
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
		prefix + "999999999-1-2":                      true,
		fmt.Sprintf("%s%d-1", prefix, os.Getpid()):    false,
		prefix + "999999999":                          false,
		"other-999999999-1":                           false,
		filepath.Base(t.TempDir()):                    false,
		fmt.Sprintf("%s%d-volume-3", prefix, 1<<30-1): true,
	} {
		if got := leftover(name); got != want {
			t.Errorf("%q: leftover is %v", name, got)
		}
	}
}

func TestVolume(t *testing.T) {
	Need(t, CanMount())
	v := NewVolume(t, 64<<20)
	name := filepath.Join(v.Drive(), "file")
	write := func(text string) error {
		if err := os.MkdirAll(v.Drive(), 0o700); err != nil {
			return err
		}
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			return err
		}
		return f.Sync()
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(write("synced"))
	must(v.Fill())
	if err := os.WriteFile(name+"2", make([]byte, 1<<20), 0o600); !isFull(err) {
		t.Errorf("a write to a full volume: %v", err)
	}
	must(v.Clear())
	must(write("synced again"))
	must(v.Break())
	if err := write("lost"); err == nil {
		t.Error("a broken volume takes writes")
	}
	must(v.Replace())
	if text, err := os.ReadFile(name); err != nil || string(text) != "synced again" {
		t.Errorf("after the break: %q, %v", text, err)
	}
}
