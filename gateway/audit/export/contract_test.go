package export_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/gateway/audit"
	"shoal/gateway/audit/export"
)

const (
	testWriter = "12D3KooWTest"
	testChain  = "0123456789abcdef0123456789abcdef"
)

func idOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// batch makes a batch of records with these numbers.
func batch(from, to int, filling string) *audit.Batch {
	b := &audit.Batch{Writer: testWriter, Log: audit.AccessLog, Chain: testChain}
	for i := from; i <= to; i++ {
		text := fmt.Appendf(nil, `{"format":1,"seq":%d,"filling":%q}`, i, filling)
		b.Records = append(b.Records, audit.Exported{Seq: uint64(i), ID: idOf(text), Event: "request", Time: time.Unix(int64(i), 0), Text: text})
	}
	return b
}

func texts(batches ...*audit.Batch) (all []string) {
	for _, b := range batches {
		for _, r := range b.Records {
			all = append(all, string(r.Text))
		}
	}
	return all
}

// open makes the target of a receiver. Loopback is allowed unless the receiver says otherwise.
func open(t *testing.T, c export.Config) audit.Target {
	t.Helper()
	c.Name = "test"
	if c.Allow == nil {
		c.Allow = []string{"127.0.0.0/8", "::1"}
	}
	to, err := c.Open()
	must(t, err)
	t.Cleanup(func() { must(t, to.Close()) })
	return to
}

// TestContract is the suite of audit.Target.
func TestContract(t *testing.T) {
	for _, tt := range []struct {
		name  string
		suite func(*testing.T, func(testing.TB) *receiver)
		make  func(testing.TB) *receiver
	}{
		{"webhook", contract, func(t testing.TB) *receiver { return webhookReceiver(t, export.BodyLines) }},
		{"webhook, array", order, func(t testing.TB) *receiver { return webhookReceiver(t, export.BodyArray) }},
		{"syslog", contract, syslogReceiver},
		{"kafka", contract, func(t testing.TB) *receiver { return kafkaReceiver(t, "") }},
		{"kafka, PLAIN", order, func(t testing.TB) *receiver { return kafkaReceiver(t, export.SASLPlain) }},
		{"kafka, SCRAM-SHA-256", order, func(t testing.TB) *receiver { return kafkaReceiver(t, export.SASLSHA256) }},
		{"kafka, SCRAM-SHA-512", order, func(t testing.TB) *receiver { return kafkaReceiver(t, export.SASLSHA512) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.suite(t, tt.make)
		})
	}
}

func order(t *testing.T, make func(testing.TB) *receiver) {
	r := make(t)
	to := open(t, r.config)
	all := []*audit.Batch{batch(1, 1, ""), batch(2, 500, "é\u2028\"\\\n"), batch(501, 501, "x")}
	for _, b := range all {
		must(t, to.Deliver(t.Context(), b))
	}
	if got := r.got(); !slices.Equal(got, texts(all...)) {
		t.Errorf("%d records arrived, in this order: %.300q", len(got), got)
	}
}

func contract(t *testing.T, make func(testing.TB) *receiver) {
	t.Run("order", func(t *testing.T) { order(t, make) })
	t.Run("large record", func(t *testing.T) {
		r := make(t)
		b := batch(1, 2, strings.Repeat("x", 700<<10))
		must(t, open(t, r.config).Deliver(t.Context(), b))
		if got := r.got(); !slices.Equal(got, texts(b)) {
			t.Errorf("%d records arrived", len(got))
		}
	})
	t.Run("outage", func(t *testing.T) {
		r := make(t)
		r.config.Timeout = time.Second
		to := open(t, r.config)
		first, second := batch(1, 10, ""), batch(11, 20, "")
		delivered := func(b *audit.Batch) { // on a busy machine an attempt may take longer than it has
			t.Helper()
			for err := to.Deliver(t.Context(), b); err != nil; err = to.Deliver(t.Context(), b) {
				t.Logf("an attempt: %v", err)
			}
		}
		delivered(first)
		r.gate.set(true)
		for range 2 {
			if err := to.Deliver(t.Context(), second); err == nil {
				t.Fatal("a batch was delivered to nobody")
			}
		}
		r.gate.set(false)
		delivered(second)
		if got := withoutRepeats(r.got()); !slices.Equal(got, texts(first, second)) {
			t.Errorf("%d records arrived, in this order: %.300q", len(got), got)
		}
	})
	t.Run("told to end", func(t *testing.T) {
		r := make(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := open(t, r.config).Deliver(ctx, batch(1, 1, "")); err == nil {
			t.Error("delivered")
		}
	})
	t.Run("no answer", func(t *testing.T) {
		r := make(t)
		r.config.Timeout = time.Second
		silence(t, &r.config)
		if err := open(t, r.config).Deliver(t.Context(), batch(1, 1, "")); err == nil {
			t.Error("delivered to who says nothing")
		}
	})
	t.Run("certificate of a stranger", func(t *testing.T) {
		r := make(t)
		r.config.Timeout, r.config.CAFile = time.Second, newPKI(t).caFile
		err := open(t, r.config).Deliver(t.Context(), batch(1, 1, ""))
		if err == nil || len(r.got()) > 0 {
			t.Errorf("delivered to a stranger: %v", err)
		}
	})
	for _, host := range []string{"127.0.0.1", "localhost"} { // a name is judged by what it means
		t.Run("refused address of "+host, func(t *testing.T) {
			r := make(t)
			r.config.Timeout, r.config.Allow = time.Second, []string{"192.0.2.0/24"}
			r.config.URL = strings.Replace(r.config.URL, "127.0.0.1", host, 1)
			r.config.Address = strings.Replace(r.config.Address, "127.0.0.1", host, 1)
			err := open(t, r.config).Deliver(t.Context(), batch(1, 1, ""))
			if err == nil || !strings.Contains(err.Error(), "is refused") && !errors.Is(err, context.DeadlineExceeded) && r.config.Kind != export.Kafka {
				t.Errorf("got %v", err)
			}
			r.gate.mu.Lock()
			defer r.gate.mu.Unlock()
			if len(r.gate.conns) > 0 {
				t.Error("it was connected to")
			}
		})
	}
}

// withoutRepeats leaves out what had arrived before: a receiver drops it by its ID.
func withoutRepeats(all []string) (once []string) {
	for _, text := range all {
		if !slices.Contains(once, text) {
			once = append(once, text)
		}
	}
	return once
}

// silence has a target talk to a listener that takes connections and says nothing.
func silence(t *testing.T, c *export.Config) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
		}
	})
	t.Cleanup(func() {
		l.Close()
		served.Wait()
	})
	switch c.Kind {
	case export.Webhook:
		c.URL = "https://" + l.Addr().String()
	case export.Syslog:
		c.Address = l.Addr().String()
	default:
		c.Brokers = []string{l.Addr().String()}
	}
}
