package simnet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shoal/p2p"
)

// Fixture is a small cluster of one implementation of p2p.Transport, for the suite.
type Fixture interface {
	// Build makes node i anew, with the same identity each time, not yet started.
	Build(i int) p2p.Transport
	// Start lets node i, as built last, serve. It knows how to reach the others started before.
	Start(i int)
	// Stop ends node i as a crash would, and waits for its goroutines.
	Stop(i int)
}

// Factory makes a fixture with one node per role. It cleans up through t.
type Factory func(t *testing.T, roles ...p2p.Role) Fixture

const (
	methodEcho   p2p.Method = 1
	methodWait   p2p.Method = 2
	methodFail   p2p.Method = 3
	methodGate   p2p.Method = 4
	methodNote   p2p.Method = 5
	methodStream p2p.Method = 6 | p2p.MethodBulk

	patience = 30 * time.Second
)

// Suite checks that an implementation keeps the promises of p2p.Transport.
func Suite(t *testing.T, factory Factory) {
	tests := []struct {
		name string
		run  func(*testing.T, Factory)
	}{
		{"echo in all sizes", testSizes},
		{"too large", testTooLarge},
		{"response into the caller's memory", testInto},
		{"cancel", testCancel},
		{"deadline", testDeadline},
		{"128 at once", testConcurrency},
		{"handler errors", testHandlerErrors},
		{"roles and unknown methods", testRefused},
		{"self", testSelf},
		{"unreachable", testUnreachable},
		{"notifications in order", testNotifyOrder},
		{"slow receiver of notifications", testNotifySlow},
		{"stream", testStream},
		{"slow reader of a stream", testStreamSlow},
		{"stream cut", testStreamCut},
		{"restart", testRestart},
		{"crash during a call", testCrash},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) { tc.run(t, factory) })
	}
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// two builds and starts a client (node 0) and a server (node 1) with the given setup.
func two(t *testing.T, factory Factory, setup func(server p2p.Transport)) (client, server p2p.Transport, f Fixture) {
	f = factory(t, p2p.RoleGateway, p2p.RoleNode)
	client, server = f.Build(0), f.Build(1)
	setup(server)
	f.Start(1)
	f.Start(0)
	return client, server, f
}

func echo(_ context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	return &p2p.Message{Header: req.Header, Payload: req.Payload}, nil
}

func handleEcho(s p2p.Transport) {
	s.Handle(methodEcho, p2p.RoleAny, echo)
	s.Handle(methodEcho|p2p.MethodBulk, p2p.RoleAny, echo)
}

// fill makes n bytes that differ with seed.
func fill(n int, seed uint32) []byte {
	b := make([]byte, n)
	x := seed*2654435761 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

func testSizes(t *testing.T, factory Factory) {
	client, server, _ := two(t, factory, handleEcho)
	ctx := testContext(t)
	for _, bulk := range []p2p.Method{0, p2p.MethodBulk} {
		for _, header := range []int{0, 1, 300, p2p.HeaderSizeMax} {
			for _, payload := range []int{0, 1, 4096, 64 << 10, 256<<10 + 1, 1 << 20, p2p.PayloadSizeMax} {
				if header == p2p.HeaderSizeMax && payload > 4096 && payload < p2p.PayloadSizeMax {
					continue
				}
				req := &p2p.Message{Header: fill(header, 1), Payload: fill(payload, 2)}
				resp, err := client.Call(ctx, server.Self(), methodEcho|bulk, req)
				if err != nil {
					t.Fatalf("bulk %v, %d + %d bytes: %v", bulk != 0, header, payload, err)
				}
				if !bytes.Equal(resp.Header, req.Header) || !bytes.Equal(resp.Payload, req.Payload) {
					t.Fatalf("bulk %v, %d + %d bytes: other bytes came back", bulk != 0, header, payload)
				}
				resp.Release()
				resp.Release()
			}
		}
	}
}

func testTooLarge(t *testing.T, factory Factory) {
	client, server, _ := two(t, factory, func(s p2p.Transport) {
		handleEcho(s)
		s.Handle(methodWait, p2p.RoleAny, func(context.Context, p2p.Peer, *p2p.Message) (*p2p.Message, error) {
			return &p2p.Message{Payload: make([]byte, p2p.PayloadSizeMax+1)}, nil
		})
	})
	ctx := testContext(t)
	for _, req := range []*p2p.Message{
		{Header: make([]byte, p2p.HeaderSizeMax+1)},
		{Payload: make([]byte, p2p.PayloadSizeMax+1)},
	} {
		if _, err := client.Call(ctx, server.Self(), methodEcho, req); !errors.Is(err, p2p.ErrTooLarge) {
			t.Errorf("request of %d bytes: %v", req.Size(), err)
		}
	}
	if err := client.Notify(server.Self(), methodNote, make([]byte, p2p.PayloadSizeMax+1)); !errors.Is(err, p2p.ErrTooLarge) {
		t.Errorf("notification: %v", err)
	}
	var remote *p2p.RemoteError
	if _, err := client.Call(ctx, server.Self(), methodWait, nil); !errors.As(err, &remote) {
		t.Errorf("response too large: %v", err)
	}
	if _, err := client.Call(ctx, server.Self(), methodEcho, nil); err != nil {
		t.Errorf("call afterwards: %v", err)
	}
}

func testInto(t *testing.T, factory Factory) {
	client, server, _ := two(t, factory, handleEcho)
	ctx := testContext(t)
	for _, m := range []p2p.Method{methodEcho, methodEcho | p2p.MethodBulk} {
		for _, size := range []int{10, 100_000} {
			into := make([]byte, 0, size)
			req := &p2p.Message{Header: []byte("h"), Payload: fill(size, 3), Into: into}
			resp, err := client.Call(ctx, server.Self(), m, req)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(resp.Payload, req.Payload) || &resp.Payload[0] != &into[:1][0] {
				t.Errorf("method %v: payload is not in the memory given", m)
			}
			resp.Release()
			req.Into = make([]byte, size-1)
			resp, err = client.Call(ctx, server.Self(), m, req)
			if err != nil || !bytes.Equal(resp.Payload, req.Payload) {
				t.Errorf("method %v: memory too small: %v", m, err)
			}
		}
	}
}

// waiter is a handler that waits for its context and reports on it.
type waiter struct {
	started chan context.Context
	ended   chan error
}

func newWaiter() *waiter {
	return &waiter{make(chan context.Context, 100), make(chan error, 100)}
}

func (w *waiter) handle(ctx context.Context, _ p2p.Peer, _ *p2p.Message) (*p2p.Message, error) {
	w.started <- ctx
	<-ctx.Done()
	w.ended <- ctx.Err()
	return nil, ctx.Err()
}

func (w *waiter) register(s p2p.Transport) {
	handleEcho(s)
	s.Handle(methodWait, p2p.RoleAny, w.handle)
	s.Handle(methodWait|p2p.MethodBulk, p2p.RoleAny, w.handle)
}

func testCancel(t *testing.T, factory Factory) {
	w := newWaiter()
	client, server, _ := two(t, factory, w.register)
	for _, m := range []p2p.Method{methodWait, methodWait | p2p.MethodBulk} {
		for range 20 {
			ctx, cancel := context.WithCancel(testContext(t))
			errc := make(chan error, 1)
			go func() {
				_, err := client.Call(ctx, server.Self(), m, &p2p.Message{Payload: []byte("x")})
				errc <- err
			}()
			receive(t, w.started, "the handler")
			cancel()
			err := receive(t, errc, "the call's end")
			if !errors.Is(err, context.Canceled) || !errors.Is(err, p2p.ErrOutcomeUnknown) {
				t.Fatalf("method %v: %v", m, err)
			}
			receive(t, w.ended, "the handler's end")
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := client.Call(ctx, server.Self(), m, nil)
		if !errors.Is(err, context.Canceled) || errors.Is(err, p2p.ErrOutcomeUnknown) {
			t.Fatalf("method %v, cancelled before: %v", m, err)
		}
		req := &p2p.Message{Payload: []byte("still works")}
		resp, err := client.Call(testContext(t), server.Self(), methodEcho|m&p2p.MethodBulk, req)
		if err != nil || !bytes.Equal(resp.Payload, req.Payload) {
			t.Fatalf("call after cancels: %v", err)
		}
	}
}

func testDeadline(t *testing.T, factory Factory) {
	w := newWaiter()
	client, server, _ := two(t, factory, w.register)
	for _, m := range []p2p.Method{methodWait, methodWait | p2p.MethodBulk} {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		_, err := client.Call(ctx, server.Self(), m, nil)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("method %v: %v", m, err)
		}
		select {
		case hctx := <-w.started:
			if _, ok := hctx.Deadline(); !ok {
				t.Errorf("method %v: the handler's context has no deadline", m)
			}
			receive(t, w.ended, "the handler's end")
		default: // the call ended before the handler began, which is its right
		}
	}
}

func testConcurrency(t *testing.T, factory Factory) {
	client, server, _ := two(t, factory, handleEcho)
	ctx := testContext(t)
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	for _, m := range []p2p.Method{methodEcho, methodEcho | p2p.MethodBulk} {
		var wg sync.WaitGroup
		for worker := range 128 {
			wg.Go(func() {
				for round := range rounds {
					req := &p2p.Message{
						Header:  binary.LittleEndian.AppendUint64(nil, uint64(worker)<<32|uint64(round)),
						Payload: fill((worker*37+round*101)%5000, uint32(worker)),
					}
					resp, err := client.Call(ctx, server.Self(), m, req)
					if err != nil {
						t.Errorf("method %v: %v", m, err)
						return
					}
					if !bytes.Equal(resp.Header, req.Header) || !bytes.Equal(resp.Payload, req.Payload) {
						t.Errorf("method %v: answer to another call", m)
					}
					resp.Release()
				}
			})
		}
		wg.Wait()
	}
}

// coded is an error that may cross the network.
type coded struct {
	code uint32
	text string
}

func (e *coded) Error() string    { return e.text }
func (e *coded) WireCode() uint32 { return e.code }

func failing(_ context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	switch string(req.Header) {
	case "coded":
		return nil, fmt.Errorf("wrapped: %w", &coded{404, "no such key"})
	case "long":
		return nil, &coded{7, strings.Repeat("ä", p2p.ErrorTextMax)}
	}
	return nil, errors.New("secret detail")
}

func testHandlerErrors(t *testing.T, factory Factory) {
	client, server, _ := two(t, factory, func(s p2p.Transport) {
		s.Handle(methodFail, p2p.RoleAny, failing)
		s.Handle(methodFail|p2p.MethodBulk, p2p.RoleAny, failing)
	})
	ctx := testContext(t)
	for _, from := range []p2p.Transport{client, server} {
		for _, m := range []p2p.Method{methodFail, methodFail | p2p.MethodBulk} {
			cases := []struct {
				header string
				code   uint32
				text   string
			}{
				{"coded", 404, "no such key"},
				{"plain", p2p.CodeInternal, ""},
				{"long", 7, strings.Repeat("ä", p2p.ErrorTextMax/2)},
			}
			for _, c := range cases {
				_, err := from.Call(ctx, server.Self(), m, &p2p.Message{Header: []byte(c.header)})
				var remote *p2p.RemoteError
				if !errors.As(err, &remote) {
					t.Fatalf("%s: %v", c.header, err)
				}
				if remote.Code != c.code || remote.Text != c.text {
					t.Errorf("%s: code %d text %q", c.header, remote.Code, remote.Text)
				}
				if strings.Contains(err.Error(), "secret") {
					t.Errorf("%s: detail leaked: %v", c.header, err)
				}
			}
		}
	}
}

func testRefused(t *testing.T, factory Factory) {
	var ran atomic.Int32
	count := func(context.Context, p2p.Peer, *p2p.Message) (*p2p.Message, error) {
		ran.Add(1)
		return nil, nil
	}
	client, server, _ := two(t, factory, func(s p2p.Transport) {
		handleEcho(s)
		s.Handle(methodGate, p2p.RoleNode, count)
		s.Handle(methodGate|p2p.MethodBulk, p2p.RoleNode, count)
		s.HandleStream(methodStream, p2p.RoleNode, func(context.Context, p2p.Peer, p2p.Stream) { ran.Add(1) })
	})
	ctx := testContext(t)
	for _, m := range []p2p.Method{methodGate, methodGate | p2p.MethodBulk, 999, 999 | p2p.MethodBulk, methodStream} {
		_, err := client.Call(ctx, server.Self(), m, &p2p.Message{Payload: []byte("x")})
		if !errors.Is(err, p2p.ErrRefused) || errors.Is(err, p2p.ErrOutcomeUnknown) {
			t.Errorf("call of method %v: %v", m, err)
		}
	}
	for _, m := range []p2p.Method{methodStream, 999 | p2p.MethodBulk, methodEcho} {
		if _, err := client.OpenStream(ctx, server.Self(), m); !errors.Is(err, p2p.ErrRefused) {
			t.Errorf("stream of method %v: %v", m, err)
		}
	}
	if err := client.Notify(server.Self(), methodGate, []byte("x")); err != nil {
		t.Errorf("notify: %v", err)
	}
	if _, err := client.Call(ctx, server.Self(), methodEcho, nil); err != nil {
		t.Errorf("call afterwards: %v", err)
	}
	if n := ran.Load(); n != 0 {
		t.Errorf("%d handlers ran", n)
	}
	if _, err := server.Call(ctx, server.Self(), methodGate, nil); err != nil || ran.Load() != 1 {
		t.Errorf("a peer with the role: %v", err)
	}
}

func testSelf(t *testing.T, factory Factory) {
	f := factory(t, p2p.RoleNode)
	n := f.Build(0)
	var seen *p2p.Message
	var from p2p.Peer
	n.Handle(methodEcho, p2p.RoleNode, func(_ context.Context, p p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
		seen, from = req, p
		return req, nil
	})
	n.Handle(methodGate, p2p.RoleGateway, echo)
	n.HandleStream(methodStream, p2p.RoleAny, func(_ context.Context, _ p2p.Peer, s p2p.Stream) { io.Copy(s, s) })
	f.Start(0)
	ctx := testContext(t)
	req := &p2p.Message{Header: []byte("h"), Payload: []byte("p")}
	resp, err := n.Call(ctx, n.Self(), methodEcho, req)
	if err != nil || resp != req || seen != req || from.ID != n.Self() {
		t.Errorf("self call copies or fails: %v", err)
	}
	if _, err := n.Call(ctx, n.Self(), methodGate, req); !errors.Is(err, p2p.ErrRefused) {
		t.Errorf("self call without the role: %v", err)
	}
	if err := n.Notify(n.Self(), methodEcho, []byte("n")); err != nil || string(seen.Payload) != "n" {
		t.Errorf("self notify: %v", err)
	}
	s, err := n.OpenStream(ctx, n.Self(), methodStream)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		io.WriteString(s, "around")
		s.CloseWrite()
	}()
	if b, err := io.ReadAll(s); err != nil || string(b) != "around" {
		t.Errorf("self stream: %q, %v", b, err)
	}
	s.Close()
}

func testUnreachable(t *testing.T, factory Factory) {
	f := factory(t, p2p.RoleNode, p2p.RoleNode)
	n, other := f.Build(0), f.Build(1)
	f.Start(0)
	ctx := testContext(t)
	for _, m := range []p2p.Method{methodEcho, methodEcho | p2p.MethodBulk} {
		_, err := n.Call(ctx, other.Self(), m, nil)
		if !errors.Is(err, p2p.ErrUnreachable) || errors.Is(err, p2p.ErrOutcomeUnknown) {
			t.Errorf("method %v: %v", m, err)
		}
	}
	if _, err := n.OpenStream(ctx, other.Self(), methodStream); !errors.Is(err, p2p.ErrUnreachable) {
		t.Errorf("stream: %v", err)
	}
}
