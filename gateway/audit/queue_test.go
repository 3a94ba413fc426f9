package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shoal/gateway/audit"
)

// sink is a target in memory.
type sink struct {
	mu     sync.Mutex // guards what follows
	down   bool
	lines  []string // as they arrived, repeats among them
	closed int
}

var errDown = errors.New("the target is down")

func (s *sink) Deliver(_ context.Context, b *audit.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range b.Records {
		if s.down && i == len(b.Records)/2 { // half a batch has arrived
			return errDown
		}
		s.lines = append(s.lines, string(r.Text))
	}
	return nil
}

func (s *sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
	return nil
}

func (s *sink) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// once gives the lines without repeats, and fails when their order is not that of the log.
func (s *sink) once(t testing.TB) (once []string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := make(map[string]bool)
	for _, line := range s.lines {
		if !seen[line] {
			seen[line] = true
			once = append(once, line)
		}
	}
	for i := 1; i < len(once); i++ {
		if before, this := seqOf(t, once[i-1]), seqOf(t, once[i]); this <= before {
			t.Errorf("record %d arrived behind record %d", this, before)
		}
	}
	return once
}

func seqOf(t testing.TB, line string) uint64 {
	t.Helper()
	var r struct{ Seq uint64 }
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		t.Fatal(err)
	}
	return r.Seq
}

// logLines gives all lines of the access log.
func logLines(t testing.TB, dir string) (all []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "access-*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, filepath.Join(dir, "access.jsonl")) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if json.Valid([]byte(line)) {
				all = append(all, strings.TrimSuffix(line, "\n"))
			}
		}
	}
	return all
}

// running is a log under Run.
type running struct {
	*audit.Log
	stop func()
}

// run opens a log with a target and runs it. stop ends it and waits.
func run(t testing.TB, cfg audit.Config, to audit.TargetConfig) *running {
	t.Helper()
	if to.Name == "" {
		to.Name = "sink"
	}
	cfg.Targets = []audit.TargetConfig{to}
	l := open(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return &running{l, func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}}
}

// settle lets time pass until nothing waits for the target.
func (r *running) settle() {
	for {
		<-time.After(time.Second)
		synctest.Wait()
		if s := r.Targets()[0]; s.QueueBytes == 0 && s.State == audit.TargetIdle {
			return
		}
	}
}

func (r *running) write(t testing.TB, name string, records int) {
	t.Helper()
	for i := range records {
		appendTo(t, r.Log, &audit.Record{Time: someTime, RequestID: fmt.Sprint(name, i)})
	}
}

func small(dir string) audit.Config {
	cfg := config(dir)
	cfg.FileBytesMax, cfg.KeepBytes = 4<<10, 8<<10
	return cfg
}

func wantEqual(t testing.TB, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%d records arrived, the log has %d", len(got), len(want))
	}
}

// Everything arrives in order, through all files; what arrived does not arrive again after a stop in order; and a
// target that is new gets what is kept.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		cfg := config(dir)
		cfg.FileBytesMax = 4 << 10
		l := open(t, cfg)
		appendTo(t, l, &audit.Record{RequestID: "before"})
		closeLog(t, l)
		var s sink
		for i := range 3 {
			r := run(t, cfg, audit.TargetConfig{Target: &s, QueueBytes: 1 << 20})
			r.write(t, fmt.Sprint(i), 100)
			r.settle()
			r.write(t, fmt.Sprint(i, "x"), 1)
			r.stop()
			if st := r.Targets()[0]; st.QueueRecords != 0 || st.QueueBytes != 0 || st.LastError != "" || st.Delivered < 100 {
				t.Errorf("status %+v", st)
			}
			if s.closed != i+1 {
				t.Errorf("closed %d times", s.closed)
			}
		}
		if len(s.lines) != len(s.once(t)) {
			t.Errorf("%d records arrived, %d of them once", len(s.lines), len(s.once(t)))
		}
		wantEqual(t, s.once(t), logLines(t, dir))
		wantWhole(t, dir)
	})
}

// While the target is away nothing of the log goes, however old; when it is back it gets all, and then files go.
func TestQueueOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := sink{down: true}
		cfg := small(dir)
		cfg.KeepAge = time.Hour
		for range 3 { // through restarts
			r := run(t, cfg, audit.TargetConfig{Target: &s, QueueBytes: 1 << 20})
			r.write(t, "r", 100)
			<-time.After(3 * time.Hour)
			st := r.Targets()[0]
			if st.State != audit.TargetRetrying || st.LastError != errDown.Error() || st.Failed < 3 || st.Oldest.IsZero() {
				t.Errorf("status %+v", st)
			}
			r.stop()
			if st := r.Targets()[0]; int(st.QueueRecords) != len(logLines(t, dir)) {
				t.Errorf("%d records wait, the log has %d", st.QueueRecords, len(logLines(t, dir)))
			}
		}
		want := logLines(t, dir)
		r := run(t, cfg, audit.TargetConfig{Target: &s, QueueBytes: 1 << 20})
		s.set(false)
		r.settle()
		got := s.once(t)
		if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("%d records arrived, the log had %d", len(got), len(want))
		}
		<-time.After(time.Hour)
		r.stop()
		if n := len(logLines(t, dir)); n >= len(want) {
			t.Errorf("the log has %d records still: nothing was removed", n)
		}
		wantWhole(t, dir)
	})
}

// What was delivered since the cursor was put on disk is delivered again, and nothing is missing. A cursor that cannot
// be read is none: the target gets all that is kept.
func TestQueueCursorLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		cfg := config(dir)
		cfg.FileBytesMax = 4 << 10
		path := filepath.Join(dir, audit.TargetDir, "sink.access.cursor")
		var s sink
		var cursors [][]byte
		for i := range 4 {
			r := run(t, cfg, audit.TargetConfig{Target: &s})
			r.write(t, fmt.Sprint(i), 40)
			r.settle()
			r.stop()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			cursors = append(cursors, text)
		}
		last := cursors[3]
		all := logLines(t, dir)
		for i, text := range append(cursors, nil, last[:len(last)/2], last[:len(last)-1], append([]byte("x"), last...),
			[]byte(strings.Replace(string(last), `"seq":`, `"seq":9`, 1)), make([]byte, 5000)) {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			var again sink
			r := run(t, cfg, audit.TargetConfig{Target: &again})
			r.settle()
			r.stop()
			got, rest := again.once(t), logLines(t, dir)
			wantEqual(t, got, rest[len(rest)-len(got):])
			if len(got) == 0 || i >= len(cursors) && !slices.Equal(got[:len(all)], all) {
				t.Errorf("cursor %q: %d records arrived again", text, len(got))
			}
		}
	})
}

// A power cut takes the end of the log, which the target has got already. What is written in its place arrives.
func TestQueuePowerCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var s sink
		r := run(t, config(dir), audit.TargetConfig{Target: &s})
		r.write(t, "lost", 50)
		r.settle()
		r.stop()
		path := filepath.Join(dir, "access.jsonl")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, int64(len(text)/2)); err != nil {
			t.Fatal(err)
		}
		var after sink
		r = run(t, config(dir), audit.TargetConfig{Target: &after})
		r.write(t, "new", 100)
		r.settle()
		r.stop()
		wantEqual(t, after.once(t), logLines(t, dir))
	})
}

// skips gives the records that the log says were skipped.
func skips(t testing.TB, dir, reason string) map[uint64]bool {
	t.Helper()
	all := make(map[uint64]bool)
	for _, r := range lines(t, dir) {
		if r["event"] != "skipped" {
			continue
		}
		first, last := uint64(r["first_seq"].(float64)), uint64(r["last_seq"].(float64))
		if r["target"] != "sink" || r["reason"] != reason || r["chain"] == nil || uint64(r["records"].(float64)) != last-first+1 {
			t.Errorf("record %v", r)
		}
		for seq := first; seq <= last; seq++ {
			if all[seq] {
				t.Errorf("record %d was skipped twice", seq)
			}
			all[seq] = true
		}
	}
	return all
}

// With Shed the oldest files of a full queue are skipped, and the log says so: what arrives and what is skipped are
// together everything.
func TestQueueSheds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		cfg := config(dir)
		cfg.FileBytesMax = 4 << 10
		const bound = 16 << 10
		s := sink{down: true}
		r := run(t, cfg, audit.TargetConfig{Target: &s, QueueBytes: bound, Full: audit.Shed})
		for i := range 40 {
			r.write(t, fmt.Sprint(i), 10)
			<-time.After(time.Second)
			if st := r.Targets()[0]; st.QueueBytes > bound+8<<10 {
				t.Fatalf("%d bytes wait, the bound is %d", st.QueueBytes, bound)
			}
			if r.Refuses() {
				t.Fatal("requests are refused")
			}
			if i == 20 {
				r.stop()
				r = run(t, cfg, audit.TargetConfig{Target: &s, QueueBytes: bound, Full: audit.Shed})
			}
		}
		skipped := r.Targets()[0].Skipped
		s.set(false)
		r.settle()
		r.stop()
		gone := skips(t, dir, "full")
		if len(gone) < 100 || skipped == 0 {
			t.Errorf("%d records skipped, %d counted since the last start", len(gone), skipped)
		}
		isGone := func(line string) bool { return gone[seqOf(t, line)] } // half a batch had arrived
		wantEqual(t, slices.DeleteFunc(s.once(t), isGone), slices.DeleteFunc(logLines(t, dir), isGone))
		wantWhole(t, dir)
	})
}

// With Block requests are to be refused while the queue is full, and one record says how many were.
func TestQueueBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := sink{down: true}
		r := run(t, small(dir), audit.TargetConfig{Target: &s, QueueBytes: 16 << 10})
		written := 0
		for ; !r.Refuses(); written++ {
			r.write(t, fmt.Sprint(written), 1)
		}
		if st := r.Targets()[0]; st.State != audit.TargetFull || st.QueueBytes <= 16<<10 || st.QueueBytes > 17<<10 {
			t.Errorf("status %+v", st)
		}
		for range 7 {
			r.Refused()
		}
		if got := r.Stats().Refused; got != 7 {
			t.Errorf("%d refused", got)
		}
		<-time.After(time.Hour)
		if !r.Refuses() || len(ids(t, dir)) != written {
			t.Errorf("%d records of %d are kept", len(ids(t, dir)), written)
		}
		r.stop()
		r = run(t, small(dir), audit.TargetConfig{Target: &s, QueueBytes: 16 << 10})
		if !r.Refuses() {
			t.Error("requests are not refused after a restart")
		}
		s.set(false)
		<-time.After(2 * time.Minute)
		if r.Refuses() {
			t.Error("requests are refused still")
		}
		r.write(t, "after", 1)
		r.settle()
		r.stop()
		got := s.once(t)
		refused := slices.DeleteFunc(slices.Clone(got), func(line string) bool { return !strings.Contains(line, `"event":"refused"`) })
		if len(refused) != 1 || !strings.Contains(refused[0], `"records":7`) || !strings.Contains(refused[0], `"since":"`) {
			t.Errorf("records %q", refused)
		}
		requests := slices.DeleteFunc(slices.Clone(got), func(line string) bool { return !strings.Contains(line, `"event":"request"`) })
		if len(requests) != written+1 {
			t.Errorf("%d requests arrived, %d were written", len(requests), written+1)
		}
	})
}

// A target that was away from the configuration while files were removed is told what it lacks.
func TestQueueGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		cfg := small(dir)
		var s sink
		r := run(t, cfg, audit.TargetConfig{Target: &s})
		r.write(t, "a", 20)
		r.settle()
		r.stop()
		r = run(t, cfg, audit.TargetConfig{Target: &sink{}, Name: "another"})
		r.write(t, "b", 200)
		<-time.After(time.Hour)
		r.stop()
		r = run(t, cfg, audit.TargetConfig{Target: &s})
		r.settle()
		r.stop()
		got := s.once(t)
		gone := skips(t, dir, "gone")
		if int(seqOf(t, got[len(got)-1])) != len(got)+len(gone) || len(gone) == 0 {
			t.Errorf("%d records arrived and %d are told to be gone, of %d", len(got), len(gone), seqOf(t, got[len(got)-1]))
		}
	})
}

// Whatever happens in whatever order, all that was written arrives in order.
func TestQueueRandom(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			dir := t.TempDir()
			cfg := config(dir)
			cfg.FileBytesMax, cfg.FileAgeMax, cfg.CheckpointEvery = 2<<10+random.Int64N(8<<10), time.Hour, time.Second
			path := filepath.Join(dir, audit.TargetDir, "sink.access.cursor")
			var s sink
			var stale []byte
			r := run(t, cfg, audit.TargetConfig{Target: &s})
			for i := range 40 {
				switch n := random.IntN(10); {
				case n < 5:
					r.write(t, fmt.Sprint(i, "-"), random.IntN(30))
				case n < 6:
					s.set(random.IntN(2) == 0)
				case n < 8:
					<-time.After(time.Duration(random.Int64N(int64(30 * time.Second))))
				case n < 9:
					if text, err := os.ReadFile(path); err == nil {
						stale = text
					}
				default:
					r.stop()
					if stale != nil && random.IntN(2) == 0 {
						if err := os.WriteFile(path, stale, 0o600); err != nil {
							t.Fatal(err)
						}
					}
					if random.IntN(3) == 0 {
						add(t, filepath.Join(dir, "access.jsonl"), `{"format":1,"se`)
					}
					r = run(t, cfg, audit.TargetConfig{Target: &s})
				}
			}
			s.set(false)
			r.settle()
			r.stop()
			if wantEqual(t, s.once(t), logLines(t, dir)); t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		})
	}
}

// Names that would be paths are refused.
func TestTargetNames(t *testing.T) {
	for _, name := range []string{"", "a/b", "a.b", "..", "-_", strings.Repeat("x", 65)} {
		cfg := config(t.TempDir())
		cfg.Targets = []audit.TargetConfig{{Name: name, Target: &sink{}}}
		if _, err := audit.Open(cfg); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
}
