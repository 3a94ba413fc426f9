package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sinkArgument makes this program the server that keeps nothing: what net/http takes for
// receiving and sending, in a process of its own so that its time can be told apart.
const sinkArgument = "serve-sink"

// serveSink runs until the process is told to end.
func serveSink(ctx context.Context, addr string) error {
	if err := loopbackOnly(addr); err != nil {
		return err
	}
	pool := newContent(poolSeed)
	buffers := make(chan []byte, 128)
	s := &http.Server{Addr: addr, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			var buffer []byte
			select {
			case buffer = <-buffers:
			default:
				buffer = make([]byte, readSize)
			}
			for {
				// Read alone, so that no copy is made.
				if _, err := r.Body.Read(buffer); err != nil {
					if !errors.Is(err, io.EOF) {
						w.WriteHeader(http.StatusBadRequest)
					}
					break
				}
			}
			select {
			case buffers <- buffer:
			default:
			}
			w.Header().Set("ETag", `"0"`)
			return
		}
		_, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"+bucket+"/"), "/")
		number, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(pieceMax))
		// A client that has gone is not the sink's matter.
		_, _ = w.Write(pool.bytes(place(number, 0, pieceMax)))
	})}
	context.AfterFunc(ctx, func() {
		// Nothing it serves is worth waiting for.
		_ = s.Close()
	})
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// floorNetwork measures requests of 16 MiB to a sink.
func (b *bench) floorNetwork(ctx context.Context) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	p, err := start(nil, self, sinkArgument, addr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop(syscall.SIGKILL)) }()
	var d net.Dialer
	err = p.await(ctx, func(ctx context.Context) error {
		c, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return c.Close()
	})
	if err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	s := &server{s3: addr, sign: &signer{id: "sink", secret: "sink", region: "us-east-1"}, process: p}
	o := &objects{content: b.content, unsigned: true, size: pieceMax}
	o.written.Store(bodiesMax)
	for _, f := range []struct {
		name string
		into *float64
		op   func(context.Context, []*client, int64) (int64, error)
	}{
		{"floor: loopback sink PUT 16 MiB", &b.floors.put, o.put},
		{"floor: loopback sink GET 16 MiB", &b.floors.get, o.get},
	} {
		r, err := b.run(ctx, s, load{name: f.name, workers: 4, duration: b.short(), bytesPerOp: pieceMax, op: f.op})
		if err != nil {
			return err
		}
		*f.into = r.CPUPerGiB
		b.add(r)
	}
	return nil
}
