package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestTargets(t *testing.T) {
	for _, c := range []struct {
		target target
		met    bool
		text   string
	}{
		{atMost("MiB", 250, 250), true, "≤ 250 MiB: met"},
		{atMost("MiB", 250.1, 250), false, "≤ 250 MiB: MISSED"},
		{atLeast("× F1", 0.85, 0.85), true, "≥ 0.85 × F1: met"},
		{atLeast("× F1", 0.84, 0.85), false, "≥ 0.85 × F1: MISSED"},
	} {
		if c.target.Met != c.met || c.target.String() != c.text {
			t.Errorf("%+v is %q, want %q", c.target, c.target, c.text)
		}
	}
	// A limit moves up with the floors of a slower machine, and never down.
	slow := floors{put: 0.09, get: 0.09, sha256: 1.18, md5: 2.62, gcm: 0.38, blake3: 0.60, direct: 0.22}
	fast := floors{put: 0.09, get: 0.09}
	for _, c := range []struct {
		f     floors
		limit float64
	}{{slow, putLimit * slow.putSum() / putFloors}, {fast, putLimit}} {
		r := row{CPUPerGiB: 3}
		c.f.judgeLarge(&r, true)
		if len(r.Targets) != 1 || r.Targets[0].Limit != c.limit {
			t.Errorf("limits %v, want %v", r.Targets, c.limit)
		}
	}
}

func TestContent(t *testing.T) {
	c := newContent(1)
	p := place(5, 2, 100_000)
	good := bytes.Clone(c.bytes(p))
	if err := c.check(p, 0, good); err != nil {
		t.Fatal(err)
	}
	if err := c.check(p, 60_000, good[60_000:]); err != nil {
		t.Fatal(err)
	}
	good[99_999] ^= 1
	for name, err := range map[string]error{
		"a flipped bit": c.check(p, 0, good), "another place": c.check(p, 1, good[:100]),
		"too long":            c.check(p, 1, good),
		"another object":      c.check(place(6, 2, 100_000), 0, good[:100]),
		"another part":        c.check(place(5, 3, 100_000), 0, good[:100]),
		"the same other seed": newContent(2).check(p, 0, good[:100]),
	} {
		if err == nil {
			t.Errorf("%s was not noticed", name)
		}
	}
	for object := range int64(bodiesMax) {
		for part := range 4096 {
			if p := place(object, part, pieceMax); p.offset < 0 || p.offset+p.size > poolBytes {
				t.Fatalf("object %d, part %d lies at %d", object, part, p.offset)
			}
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"1B": 1, "7": 7, "4KiB": 4096, "16MiB": 16 << 20, "1GiB": 1 << 30} {
		got, err := parseSize(text)
		if err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "KiB", "-1KiB", "0", "4kb", "4KB", "99999999GiB", "1KiBKiB"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
	for _, n := range []int64{1, 1023, 4096, 65536, 1 << 20, 16 << 20, 3 << 30} {
		if got, err := parseSize(sizeName(n)); err != nil || got != n {
			t.Errorf("%d is written %s and read %d, %v", n, sizeName(n), got, err)
		}
	}
}

func TestCheckPage(t *testing.T) {
	o := &objects{size: 4096}
	page := func(numbers ...int64) []byte {
		var b bytes.Buffer
		for _, n := range numbers {
			fmt.Fprintf(&b, "<Contents><Key>%s</Key></Contents>", o.key(n))
		}
		return b.Bytes()
	}
	if err := o.checkPage(page(7, 8, 9), 7, 3); err != nil {
		t.Error(err)
	}
	for name, p := range map[string][]byte{"short": page(7, 8), "long": page(7, 8, 9, 10), "out of order": page(7, 9, 8), "of others": page(6, 7, 8)} {
		if err := o.checkPage(p, 7, 3); err == nil {
			t.Errorf("a page that is %s was not noticed", name)
		}
	}
}

func TestParseCounters(t *testing.T) {
	text := "# HELP a b\n# TYPE a counter\na 1.5e+06\nab 3\nb{l=\"x\"} 4\n"
	got, err := parseCounters(bufio.NewScanner(strings.NewReader(text)), []string{"a", "b"})
	if err != nil || len(got) != 1 || got["a"] != 1.5e6 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := parseCounters(bufio.NewScanner(strings.NewReader("a x\n")), []string{"a"}); err == nil {
		t.Error("a metric that is no number was not noticed")
	}
}

// TestDrive checks what ends a load, and that every operation is counted once.
func TestDrive(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name    string
		most    int64
		op      func(number int64) error
		ok, bad int
	}{
		{"a bound", 100, func(int64) error { return nil }, 100, 0},
		{"nothing left", 0, func(n int64) error {
			if n >= 50 {
				return errExhausted
			}
			return nil
		}, 50, 0},
		{"one failure", 10, func(n int64) error {
			if n == 3 {
				return broken
			}
			return nil
		}, 9, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var calls atomic.Int64
			l := load{duration: time.Hour, opsMax: c.most, op: func(_ context.Context, _ []*client, n int64) (int64, error) {
				calls.Add(1)
				return 10, c.op(n)
			}}
			var ok, bad int
			var moved int64
			for _, got := range l.drive(t.Context(), make([][]*client, 4), time.Now()) {
				ok, bad, moved = ok+len(got.took), bad+len(got.errors), moved+got.bytes
			}
			if ok != c.ok || bad != c.bad || moved != int64(ok)*10 {
				t.Errorf("%d well, %d not, %d bytes; want %d and %d", ok, bad, moved, c.ok, c.bad)
			}
		})
	}
	l := load{duration: time.Hour, op: func(context.Context, []*client, int64) (int64, error) { return 0, broken }}
	var bad int
	for _, got := range l.drive(t.Context(), make([][]*client, 4), time.Now()) {
		bad += len(got.errors)
	}
	if bad < failuresMax || bad > failuresMax+4 {
		t.Errorf("a load that only fails ended after %d failures", bad)
	}
}

// TestSink loads a sink in this process, in order to check client and sink with each other.
func TestSink(t *testing.T) {
	addr, err := freeAddr()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serveSink(ctx, addr) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	c := newClient(addr, exampleSigner())
	defer c.close()
	for c.dial(ctx) != nil {
		select {
		case err := <-ended:
			t.Fatal(err)
		default:
		}
	}
	o := &objects{content: newContent(poolSeed), unsigned: true, size: pieceMax}
	o.written.Store(2)
	for range 2 {
		if n, err := o.put(ctx, []*client{c}, 0); err != nil || n != pieceMax {
			t.Fatalf("put %d, %v", n, err)
		}
		if n, err := o.get(ctx, []*client{c}, 0); err != nil || n != pieceMax {
			t.Fatalf("get %d, %v", n, err)
		}
	}
	o.content = newContent(poolSeed + 1)
	if _, err := o.get(ctx, []*client{c}, 0); err == nil {
		t.Error("wrong content was not noticed")
	}
}

func TestTwoDashes(t *testing.T) {
	got := twoDashes([]string{"-quick", "--json", "-h", "x", "-json=a", "-"})
	if want := "--quick --json -h x --json=a -"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestReport(t *testing.T) {
	r := report{Release: "v1", Rows: []row{
		{Name: "PUT 4KiB", Clients: 16, PerSecond: 1234, GiBPerS: 0.0047, P50: 1.234, P99: 12.34, CPUPerKilo: 0.5, Others: 0.5},
		{Name: "idle", Value: 0.5, Unit: "% of a core", Targets: []target{atMost("% of a core", 0.5, 1)}},
	}}
	var out bytes.Buffer
	if err := r.write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"PUT 4KiB *", "1234", "0.0047", "12.3", "≤ 1.00 % of a core: met"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, out.String())
		}
	}
}

// A cluster's run leaves out what nobody asked for, and only that.
func TestTrim(t *testing.T) {
	for _, c := range []struct {
		args    []string
		sizes   int
		clients string
	}{
		{nil, 5, "[1 16 64]"},
		{[]string{"--nodes", "4"}, 3, "[1 16]"},
		{[]string{"--nodes", "4", "--sizes", "1MiB", "--clients", "7"}, 1, "[7]"},
	} {
		var o options
		f := pflag.NewFlagSet("bench", pflag.ContinueOnError)
		o.bind(f)
		if err := f.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		o.trim(f)
		if len(o.sizes) != c.sizes || fmt.Sprint(o.clients) != c.clients {
			t.Errorf("%v: %v, %v", c.args, o.sizes, o.clients)
		}
	}
}

// What a cluster takes is summed over its processes, and each is told its part in its own way.
func TestArguments(t *testing.T) {
	s := &server{dir: "d", s3: "s", admin: "a", p2p: [3]string{"p", "b", "j"}, args: []string{"--x"}}
	for part, want := range map[string]string{
		"server":  "server --data d --admin a --p2p p --p2p-bulk b --p2p-join j --s3 s --x",
		"node":    "node --data d --admin a --p2p p --p2p-bulk b --p2p-join j --x",
		"gateway": "gateway --data d --admin a --p2p p --s3 s --x",
	} {
		if s.part = part; strings.Join(s.arguments(), " ") != want {
			t.Errorf("%q, want %q", s.arguments(), want)
		}
	}
}

func TestOptions(t *testing.T) {
	o := options{program: "/nonexistent", nodes: 3, duration: time.Second, idle: time.Second, sizes: []string{"4KiB", "17MiB", "x"},
		clients: []int{0}, only: []string{"floors", "other"}}
	err := o.validate()
	for _, want := range []string{"/nonexistent", "17MiB", `"x"`, "clients: 0", `"other"`, "nodes: 3"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v says nothing of %s", err, want)
		}
	}
}
