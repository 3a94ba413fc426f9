package edge_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/gateway/edge"
)

// Connections that are turned away leave a line for many of them, with how many they were.
func TestTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, l := new(lines), &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		blocked := 0
		s := edge.NewServer(edge.Config{
			Listener: l, Logger: slog.New(slog.NewTextHandler(log, nil)), Limits: edge.Limits{ConnectionsPerSourceMax: 1},
			Handler: http.NotFoundHandler(), Denied: http.NotFoundHandler(), Blocked: func() { blocked++ },
		})
		s.SetRules(rules("192.0.2.0/25"))
		done := make(chan error, 1)
		go func() { done <- s.Serve(context.WithoutCancel(t.Context())) }()
		var open []net.Conn
		come := func(from string, times int) {
			for range times {
				near, far := net.Pipe()
				open = append(open, near)
				l.conns <- addressed{far, from}
			}
			synctest.Wait()
		}
		told := func(want ...string) {
			t.Helper()
			got := log.String()
			for _, w := range want {
				if !strings.Contains(got, w) {
					t.Errorf("the log lacks %q: %s", w, got)
				}
			}
			if n := strings.Count(got, "\n"); n != len(want) {
				t.Errorf("the log has %d lines: %s", n, got)
			}
		}
		come("192.0.2.9", 99)
		come("192.0.2.8", 1)
		come("192.0.2.200", 3)
		told()
		<-time.NewTimer(time.Minute).C
		synctest.Wait()
		told(`reason="its address is not served" count=100 last_from=192.0.2.8`, `reason="its source has too many" count=2 last_from=192.0.2.200`)
		come("192.0.2.9", 1)
		<-time.NewTimer(time.Minute).C
		synctest.Wait()
		told("count=100", "count=2", "count=1 last_from=192.0.2.9")
		if blocked != 101 {
			t.Errorf("%d were heard of", blocked)
		}
		for _, conn := range open {
			conn.Close()
		}
		synctest.Wait()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("server ended with %v", err)
		}
	})
}
