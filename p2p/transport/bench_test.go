package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"shoal/p2p"
)

// cpuTime is what this process has used so far, both ends of every connection included.
func cpuTime() time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// inParallel runs b.N operations on n goroutines and reports CPU time per operation, or per GiB.
func inParallel(b *testing.B, n int, bytesPerOp int, op func() error) {
	b.ReportAllocs()
	if bytesPerOp > 0 {
		b.SetBytes(int64(bytesPerOp))
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	cpu := cpuTime()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := op(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	used := cpuTime() - cpu
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-µs/op")
	if bytesPerOp >= 1<<20 {
		b.ReportMetric(used.Seconds()/(float64(b.N)*float64(bytesPerOp)/(1<<30)), "cpu-s/GiB")
	}
}

func benchPair(b *testing.B) (from *Host, to p2p.NodeID) {
	c := newCluster(b, p2p.RoleNode, p2p.RoleNode)
	chunk := bytes.Repeat([]byte{1}, 4<<20)
	c.start(func(_ int, h *Host) {
		h.Handle(1, p2p.RoleAny, func(_ context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
			return &p2p.Message{Payload: req.Payload}, nil
		})
		h.Handle(2|p2p.MethodBulk, p2p.RoleAny, func(context.Context, p2p.Peer, *p2p.Message) (*p2p.Message, error) {
			return &p2p.Message{Payload: chunk}, nil
		})
		h.Handle(3|p2p.MethodBulk, p2p.RoleAny, func(_ context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
			return nil, nil
		})
	})
	for _, m := range []p2p.Method{1, 2 | p2p.MethodBulk} {
		if _, err := c.nodes[0].host.Call(context.Background(), c.nodes[1].id.self, m, nil); err != nil {
			b.Fatal(err)
		}
	}
	return c.nodes[0].host, c.nodes[1].id.self
}

// BenchmarkRPC sends 4 KiB and gets them back.
func BenchmarkRPC(b *testing.B) {
	from, to := benchPair(b)
	for _, n := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("c%d", n), func(b *testing.B) {
			payload := make([]byte, 4<<10)
			inParallel(b, n, 0, func() error {
				resp, err := from.Call(context.Background(), to, 1, &p2p.Message{Payload: payload})
				resp.Release()
				return err
			})
		})
	}
	b.Run("deadline/c16", func(b *testing.B) {
		payload := make([]byte, 4<<10)
		inParallel(b, 16, 0, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			resp, err := from.Call(ctx, to, 1, &p2p.Message{Payload: payload})
			resp.Release()
			return err
		})
	})
}

// BenchmarkSmallBesideBulk is the latency of a small call while four bulk transfers run.
func BenchmarkSmallBesideBulk(b *testing.B) {
	from, to := benchPair(b)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if resp, err := from.Call(ctx, to, 2|p2p.MethodBulk, nil); err == nil {
					resp.Release()
				}
			}
		})
	}
	inParallel(b, 1, 0, func() error {
		resp, err := from.Call(context.Background(), to, 1, &p2p.Message{Payload: make([]byte, 100)})
		resp.Release()
		return err
	})
	cancel()
	wg.Wait()
}

// BenchmarkBulk moves 4 MiB per call, four at once.
func BenchmarkBulk(b *testing.B) {
	from, to := benchPair(b)
	b.Run("get", func(b *testing.B) {
		inParallel(b, 4, 4<<20, func() error {
			resp, err := from.Call(context.Background(), to, 2|p2p.MethodBulk, nil)
			resp.Release()
			return err
		})
	})
	chunk := make([]byte, 4<<20)
	b.Run("put", func(b *testing.B) {
		inParallel(b, 4, 4<<20, func() error {
			_, err := from.Call(context.Background(), to, 3|p2p.MethodBulk, &p2p.Message{Payload: chunk})
			return err
		})
	})
}

// BenchmarkRawTLS is the floor: crypto/tls with our certificates, one connection per goroutine, a
// length in front of each message.
func BenchmarkRawTLS(b *testing.B) {
	c := newCluster(b, p2p.RoleNode)
	cfg := c.config(0)
	sec, err := newSecurity(cfg.Identity, cfg.Trust, cfg.Credential)
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	chunk := make([]byte, 4<<20)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conf, _ := sec.current.Load().ConfigForPeer("")
			go serveRaw(tls.Server(conn, conf), chunk)
		}
	}()
	dial := func() *tls.Conn {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		conf, _ := sec.current.Load().ConfigForPeer("")
		return tls.Client(conn, conf)
	}
	for _, bench := range []struct {
		name   string
		n      int
		ask    uint32
		answer int
	}{{"rpc/c1", 1, 4096, 4096}, {"rpc/c16", 16, 4096, 4096}, {"rpc/c128", 128, 4096, 4096},
		{"get", 4, 1, 4 << 20}, {"put", 4, 4 << 20, 1}} {
		b.Run(bench.name, func(b *testing.B) {
			conns := make(chan *tls.Conn, bench.n)
			for range bench.n {
				tc := dial()
				defer tc.Close()
				conns <- tc
			}
			bufs := sync.Pool{New: func() any { return new([4<<20 + 8]byte) }}
			bytesPerOp := 0
			if bench.name == "get" || bench.name == "put" {
				bytesPerOp = 4 << 20
			}
			inParallel(b, bench.n, bytesPerOp, func() error {
				tc := <-conns
				mem := bufs.Get().(*[4<<20 + 8]byte)
				buf := mem[:]
				binary.LittleEndian.PutUint32(buf, bench.ask)
				binary.LittleEndian.PutUint32(buf[4:], uint32(bench.answer))
				_, err := tc.Write(buf[:8+bench.ask])
				if err == nil {
					_, err = io.ReadFull(tc, buf[:bench.answer])
				}
				bufs.Put(mem)
				conns <- tc
				return err
			})
		})
	}
}

func serveRaw(tc *tls.Conn, chunk []byte) {
	defer tc.Close()
	in := make([]byte, 4<<20+8)
	for {
		if _, err := io.ReadFull(tc, in[:8]); err != nil {
			return
		}
		n, answer := binary.LittleEndian.Uint32(in), binary.LittleEndian.Uint32(in[4:])
		if _, err := io.ReadFull(tc, in[:n]); err != nil {
			return
		}
		if _, err := tc.Write(chunk[:answer]); err != nil {
			return
		}
	}
}

// BenchmarkStart is the time from a credential to a host that listens.
func BenchmarkStart(b *testing.B) {
	c := newCluster(b, p2p.RoleNode)
	for b.Loop() {
		h, err := New(c.config(0))
		if err != nil {
			b.Fatal(err)
		}
		if err := h.Listen(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		h.Close()
		b.StartTimer()
	}
}

// BenchmarkConnect is a new control connection with its hello, both ends.
func BenchmarkConnect(b *testing.B) {
	from, to := benchPair(b)
	cpu := cpuTime()
	for b.Loop() {
		from.Disconnect(to)
		if err := from.Connect(context.Background(), to); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
}
