package simnet

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"shoal/p2p"
)

// eventually runs f until it succeeds or the test has lost its patience.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	ctx := testContext(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("still failing: %v", err)
		}
	}
}

func receive[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-testContext(t).Done():
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

func testNotifyOrder(t *testing.T, factory Factory) {
	const count = 3000
	type note struct {
		bulk bool
		seq  uint64
		size int
	}
	got := make(chan note, 2*count)
	take := func(bulk bool) p2p.Handler {
		return func(_ context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
			got <- note{bulk, binary.LittleEndian.Uint64(req.Payload), len(req.Payload)}
			return nil, nil
		}
	}
	client, server, _ := two(t, factory, func(s p2p.Transport) {
		s.Handle(methodNote, p2p.RoleAny, take(false))
		s.Handle(methodNote|p2p.MethodBulk, p2p.RoleAny, take(true))
	})
	send := func(m p2p.Method, seq uint64, size int) {
		payload := binary.LittleEndian.AppendUint64(nil, seq)
		payload = append(payload, make([]byte, size-8)...)
		eventually(t, func() error { return client.Notify(server.Self(), m, payload) })
	}
	go func() {
		for seq := range uint64(count) {
			send(methodNote, seq, 8+int(seq%200))
			send(methodNote|p2p.MethodBulk, seq, 8+int(seq%50)*1000)
		}
	}()
	var next [2]uint64
	for range 2 * count {
		n := receive(t, got, "a notification")
		class := 0
		if n.bulk {
			class = 1
		}
		if n.seq != next[class] {
			t.Fatalf("class %d: number %d came when %d was due", class, n.seq, next[class])
		}
		next[class]++
	}
}

func testNotifySlow(t *testing.T, factory Factory) {
	release := make(chan struct{})
	got := make(chan uint64, 1<<20)
	client, server, _ := two(t, factory, func(s p2p.Transport) {
		handleEcho(s)
		s.Handle(methodNote, p2p.RoleAny, func(_ context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
			<-release
			got <- binary.LittleEndian.Uint64(req.Payload)
			return nil, nil
		})
	})
	if _, err := client.Call(testContext(t), server.Self(), methodEcho, nil); err != nil {
		t.Fatal(err)
	}
	const size, bound = 32 << 10, 128 << 20
	payload := make([]byte, size)
	var accepted []uint64
	for seq := uint64(0); ; seq++ {
		if len(accepted)*size > bound {
			t.Fatalf("%d bytes accepted for a receiver that takes none", bound)
		}
		binary.LittleEndian.PutUint64(payload, seq)
		err := client.Notify(server.Self(), methodNote, payload)
		if errors.Is(err, p2p.ErrQueueFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		accepted = append(accepted, seq)
	}
	// The full queue stands in nobody else's way.
	if _, err := client.Call(testContext(t), server.Self(), methodEcho, nil); err != nil {
		t.Errorf("call beside a full queue: %v", err)
	}
	close(release)
	for _, want := range accepted {
		if seq := receive(t, got, "an accepted notification"); seq != want {
			t.Fatalf("number %d came when %d was due", seq, want)
		}
	}
	eventually(t, func() error { return client.Notify(server.Self(), methodNote, payload) })
}

func testStream(t *testing.T, factory Factory) {
	client, server, _ := two(t, factory, func(s p2p.Transport) {
		s.HandleStream(methodStream, p2p.RoleAny, func(_ context.Context, from p2p.Peer, s p2p.Stream) {
			b, err := io.ReadAll(s)
			if err != nil || from.ID == "" {
				return
			}
			s.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(b))))
			s.Write(b[len(b)-1:])
		})
	})
	for _, size := range []int{1, 100_000, 20 << 20} {
		s, err := client.OpenStream(testContext(t), server.Self(), methodStream)
		if err != nil {
			t.Fatal(err)
		}
		data := fill(size, 9)
		if _, err := s.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := s.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(s)
		if err != nil || len(answer) != 9 || binary.LittleEndian.Uint64(answer) != uint64(size) || answer[8] != data[size-1] {
			t.Fatalf("%d bytes: answer %x, %v", size, answer, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		s.Close()
	}
}

func testStreamSlow(t *testing.T, factory Factory) {
	release := make(chan struct{})
	count := make(chan int64, 1)
	client, server, _ := two(t, factory, func(s p2p.Transport) {
		handleEcho(s)
		s.HandleStream(methodStream, p2p.RoleAny, func(_ context.Context, _ p2p.Peer, s p2p.Stream) {
			<-release
			n, _ := io.Copy(io.Discard, s)
			count <- n
		})
	})
	s, err := client.OpenStream(testContext(t), server.Self(), methodStream)
	if err != nil {
		t.Fatal(err)
	}
	const total, bound = 96 << 20, 64 << 20
	var written atomic.Int64
	done := make(chan error, 1)
	go func() {
		block := make([]byte, 1<<20)
		for range total >> 20 {
			n, err := s.Write(block)
			written.Add(int64(n))
			if err != nil {
				done <- err
				return
			}
		}
		done <- s.CloseWrite()
	}()
	// Work on another plane goes on meanwhile, and takes long enough to see whether the writer stops.
	for range 200 {
		if _, err := client.Call(testContext(t), server.Self(), methodEcho, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := written.Load(); n > bound {
		t.Errorf("%d bytes written to a reader that reads none", n)
	}
	close(release)
	if err := receive(t, done, "the writer"); err != nil {
		t.Fatal(err)
	}
	if n := receive(t, count, "the reader"); n != total {
		t.Fatalf("%d bytes read of %d", n, total)
	}
	s.Close()
}

func testStreamCut(t *testing.T, factory Factory) {
	ended := make(chan error, 10)
	started := make(chan struct{}, 10)
	client, server, f := two(t, factory, func(s p2p.Transport) {
		s.HandleStream(methodStream, p2p.RoleAny, func(ctx context.Context, _ p2p.Peer, s p2p.Stream) {
			started <- struct{}{}
			_, err := io.ReadAll(s)
			ended <- err
		})
	})
	// The opener's context ends: the handler's Read fails.
	ctx, cancel := context.WithCancel(testContext(t))
	s, err := client.OpenStream(ctx, server.Self(), methodStream)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	receive(t, started, "the handler")
	cancel()
	if err := receive(t, ended, "the handler's end"); err == nil {
		t.Error("a stream that was cut ended in io.EOF at the handler")
	}
	s.Close()
	// The handler's node dies: the opener's Read fails.
	s, err = client.OpenStream(testContext(t), server.Self(), methodStream)
	if err != nil {
		t.Fatal(err)
	}
	receive(t, started, "the handler")
	f.Stop(1)
	if _, err := io.ReadAll(s); err == nil {
		t.Error("a stream to a node that died ended in io.EOF")
	}
	s.Close()
}

func testRestart(t *testing.T, factory Factory) {
	type event struct {
		id p2p.NodeID
		up bool
	}
	f := factory(t, p2p.RoleGateway, p2p.RoleNode)
	client, server := f.Build(0), f.Build(1)
	events := make(chan event, 100)
	client.OnPeer(func(id p2p.NodeID, up bool) { events <- event{id, up} })
	handleEcho(server)
	f.Start(1)
	f.Start(0)
	id := server.Self()
	for round := range 3 {
		for _, m := range []p2p.Method{methodEcho, methodEcho | p2p.MethodBulk} {
			eventually(t, func() error {
				_, err := client.Call(testContext(t), id, m, &p2p.Message{Payload: []byte("x")})
				return err
			})
		}
		if ev := receive(t, events, "up"); ev != (event{id, true}) {
			t.Fatalf("round %d: event %+v", round, ev)
		}
		f.Stop(1)
		if ev := receive(t, events, "down"); ev != (event{id, false}) {
			t.Fatalf("round %d: event %+v", round, ev)
		}
		for _, m := range []p2p.Method{methodEcho, methodEcho | p2p.MethodBulk} {
			if _, err := client.Call(testContext(t), id, m, nil); err == nil {
				t.Fatal("a stopped node answers")
			}
		}
		server = f.Build(1)
		if server.Self() != id {
			t.Fatal("the fixture changed the identity")
		}
		handleEcho(server)
		f.Start(1)
	}
}

func testCrash(t *testing.T, factory Factory) {
	w := newWaiter()
	client, server, f := two(t, factory, w.register)
	errc := make(chan error, 2)
	for _, m := range []p2p.Method{methodWait, methodWait | p2p.MethodBulk} {
		go func() {
			_, err := client.Call(testContext(t), server.Self(), m, nil)
			errc <- err
		}()
	}
	receive(t, w.started, "the first handler")
	receive(t, w.started, "the second handler")
	f.Stop(1)
	for range 2 {
		if err := receive(t, errc, "the call's end"); !errors.Is(err, p2p.ErrOutcomeUnknown) {
			t.Errorf("call to a node that died: %v", err)
		}
	}
}
