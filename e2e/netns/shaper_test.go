package netns_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"shoal/e2e/netns"
)

// echo sends back what it is sent, inside a host.
func echo(t *testing.T, h *netns.Host) string {
	t.Helper()
	l, err := h.Listen(7001)
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
			go func() {
				defer c.Close()
				// The error is seen by whoever waits for the bytes.
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

// exchange sends bytes to an echo and reads them back; first is how long one byte took.
func exchange(t *testing.T, h *netns.Host, addr string, sent []byte) (first, all time.Duration) {
	t.Helper()
	c, err := h.Dial(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	got := make([]byte, 1+len(sent))
	if _, err = c.Write([]byte{7}); err == nil {
		_, err = io.ReadFull(c, got[:1])
	}
	if err != nil {
		t.Fatal(err)
	}
	first = time.Since(began)
	written := make(chan error, 1)
	go func() {
		_, err := c.Write(sent)
		written <- err
	}()
	_, err = io.ReadFull(c, got[1:])
	if err := errors.Join(err, <-written); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got[1:], sent) {
		t.Error("other bytes came back")
	}
	return first, time.Since(began)
}

// TestShaper sends data over links that delay it: it takes its time, arrives whole, and is
// counted.
func TestShaper(t *testing.T) {
	n, hosts := newNetwork(t, 3)
	n.Seed(1)
	a, b, c := hosts[0], hosts[1], hosts[2]
	addr := echo(t, a)
	near, far := []*netns.Host{a}, []*netns.Host{b}
	sent := make([]byte, 32<<20)
	rand.NewChaCha8([32]byte{}).Read(sent)
	for _, tc := range []struct {
		name      string
		out, back netns.Rule
		bytes     int
		least     time.Duration // of a byte there and back
	}{
		{name: "delay", bytes: 32 << 20, least: 40 * time.Millisecond, out: netns.Rule{Delay: 20 * time.Millisecond}, back: netns.Rule{Delay: 20 * time.Millisecond}},
		{name: "one way", bytes: 1 << 20, least: 20 * time.Millisecond, out: netns.Rule{Delay: 20 * time.Millisecond}, back: netns.Rule{LossPercent: 1}},
		{name: "jitter", bytes: 1 << 20, least: 20 * time.Millisecond, out: netns.Rule{Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond},
			back: netns.Rule{Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond}},
		{name: "overtaking and loss", bytes: 1 << 20, least: 20 * time.Millisecond,
			out:  netns.Rule{Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond, LossPercent: 1, Overtake: true},
			back: netns.Rule{Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond, LossPercent: 1, Overtake: true}},
	} {
		tc.out.From, tc.out.To, tc.back.From, tc.back.To = far, near, near, far
		if err := n.Apply(tc.out, tc.back); err != nil {
			t.Fatal(err)
		}
		before := n.Crossed(far, near)
		first, all := exchange(t, b, addr, sent[:tc.bytes])
		crossed := n.Crossed(far, near) - before
		t.Logf("%s: %v for a byte, %.1f MB/s both ways, %.3f bytes crossed for one", tc.name, first.Round(time.Millisecond),
			float64(tc.bytes)/1e6/all.Seconds(), float64(crossed)/float64(tc.bytes))
		if first < tc.least {
			t.Errorf("%s: a byte comes back after %v, at least %v are due", tc.name, first, tc.least)
		}
		if crossed < int64(tc.bytes) || crossed > int64(tc.bytes)*3/2 {
			t.Errorf("%s: %d bytes crossed, %d were sent", tc.name, crossed, tc.bytes)
		}
	}
	exchange(t, c, addr, sent[:1<<20])
	if got := n.Crossed([]*netns.Host{c}, near) + n.Crossed(near, []*netns.Host{c}); got != 0 {
		t.Errorf("%d bytes of a host that no rule is about were delayed", got)
	}
	if err := n.Apply(netns.Rule{From: far, To: near}, netns.Rule{From: far, To: near, Delay: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if reaches(t, b, listen(t, a), false) {
		t.Error("a host is reached by packets that are late and lost")
	}
	if err := n.Apply(); err != nil {
		t.Fatal(err)
	}
	before := n.Crossed(far, near)
	exchange(t, b, addr, sent[:1<<20])
	if got := n.Crossed(far, near) - before; got != 0 {
		t.Errorf("%d bytes were delayed after the rules were gone", got)
	}
}
