package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"shoal/gateway/audit"
)

var someTime = time.Date(2026, 3, 1, 4, 5, 6, 7, time.FixedZone("x", 3600))

// config is that of a log in a directory.
func config(dir string) audit.Config {
	return audit.Config{Dir: dir, Name: audit.AccessLog, Writer: testWriter, Release: "v1"}
}

func open(t testing.TB, cfg audit.Config) *audit.Log {
	t.Helper()
	l, err := audit.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func appendTo(t testing.TB, l *audit.Log, e audit.Entry) {
	t.Helper()
	if err := l.Append(e); err != nil {
		t.Fatal(err)
	}
}

func closeLog(t testing.TB, l *audit.Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// lines gives the records in all files of the access log, in order, and checks that they follow on each other.
func lines(t testing.TB, dir string) []map[string]any {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "access-*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for _, name := range append(names, filepath.Join(dir, "access.jsonl")) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var r map[string]any
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				r = nil
			}
			if r["event"] == nil {
				r = map[string]any{"event": "torn"}
			}
			all = append(all, r)
		}
	}
	return all
}

// ids gives the request IDs of the access records, in order.
func ids(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	for _, r := range lines(t, dir) {
		if r["event"] == "request" {
			all = append(all, r["request_id"].(string))
		}
	}
	return all
}

// events gives the events, in order.
func events(t testing.TB, dir string) string {
	t.Helper()
	var all []string
	for _, r := range lines(t, dir) {
		all = append(all, r["event"].(string))
	}
	return strings.Join(all, " ")
}

func TestRecord(t *testing.T) {
	dir := t.TempDir()
	l := open(t, config(dir))
	appendTo(t, l, &audit.Record{
		Time: someTime, RemoteAddr: "10.0.0.1:5", User: "root", AccessKeyID: "ID", Method: "GET", Bucket: "b", Key: "k", VersionID: "v",
		Operation: "GetObject", Status: 206, BytesSent: 5, BytesReceived: 6, UserAgent: "ua/1", Duration: 1234567 * time.Nanosecond,
		RequestID: "R", ErrorCode: "E", Decision: audit.Allowed, Reason: "allowed by root", Aborted: true,
	})
	text, err := os.ReadFile(filepath.Join(dir, "access.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	want := `","event":"request","timestamp":"2026-03-01T03:05:06.000000007Z","remote_addr":"10.0.0.1:5","user":"root","access_key_id":"ID",` +
		`"method":"GET","bucket":"b","key":"k","version_id":"v","operation":"GetObject","status":206,"bytes_sent":5,"bytes_received":6,` +
		`"user_agent":"ua/1","duration_ms":1.235,"request_id":"R","error_code":"E","decision":"allow","reason":"allowed by root","aborted":true}` + "\n"
	if !strings.HasSuffix(string(text), want) {
		t.Errorf("got  %s\nwant …%s", text, want)
	}
	closeLog(t, l)
	if got := events(t, dir); got != "file start request stop" {
		t.Errorf("events %s", got)
	}
}

// FuzzRecord: every record is one line of JSON that holds what was put in.
func FuzzRecord(f *testing.F) {
	for _, s := range []string{"", "a", `"\`, "\n\r\t\x00\x1f\x7f", "é€💾", "\xff\xc0\xaf\xed\xa0\x80", "\u2028\u2029", "</script>"} {
		f.Add(s, int64(1))
	}
	f.Fuzz(func(t *testing.T, text string, nanos int64) {
		r := audit.Record{Time: time.Unix(0, nanos), Key: text, UserAgent: text}
		line := audit.Line(&r)
		if bytes.IndexByte(line, '\n') != len(line)-1 || bytes.ContainsAny(line, "\r\u2028\u2029") || len(line) > 32<<10 {
			t.Fatalf("line %q", line)
		}
		var got struct {
			Key       string    `json:"key"`
			Timestamp time.Time `json:"timestamp"`
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if utf8.ValidString(text) && len(text) <= 1024 && got.Key != text {
			t.Errorf("%q became %q", text, got.Key)
		}
		if !got.Timestamp.Equal(r.Time) {
			t.Errorf("%v became %v", r.Time, got.Timestamp)
		}
	})
}

// Everybody's records are there in order when Append has returned, in files of mode 0600, whole.
func TestNothingIsLost(t *testing.T) {
	dir := t.TempDir()
	cfg := config(dir)
	cfg.FileBytesMax = 20 << 10
	l := open(t, cfg)
	const writers, each = 8, 100
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := l.Append(&audit.Record{RequestID: fmt.Sprintf("%d-%d", w, i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	next := make(map[string]int) // without Close: the process might be killed here
	for _, id := range ids(t, dir) {
		w, i, _ := strings.Cut(id, "-")
		if fmt.Sprint(next[w]) != i {
			t.Fatalf("record %s is out of order", id)
		}
		next[w]++
	}
	for w := range writers {
		if n := next[fmt.Sprint(w)]; n != each {
			t.Errorf("%d records of writer %d", n, w)
		}
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() > 24<<10 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	if len(names) < 5 {
		t.Errorf("%d files: it was not rotated", len(names))
	}
	closeLog(t, l)
	if err := l.Append(&audit.Record{}); !errors.Is(err, audit.ErrClosed) {
		t.Errorf("a closed log took a record: %v", err)
	}
	wantWhole(t, dir)
}

// Files go by their size and by their age, the oldest first, and what goes is on the record.
func TestOldFilesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "access-notes.jsonl"), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := config(dir)
		cfg.FileAgeMax, cfg.KeepAge = time.Hour, 150*time.Minute
		l := open(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		for i := range 8 {
			appendTo(t, l, &audit.Record{RequestID: fmt.Sprint(i)})
			<-time.After(time.Hour)
			synctest.Wait()
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		got := ids(t, dir)
		if len(got) < 2 || len(got) > 4 || got[len(got)-1] != "7" {
			t.Errorf("kept %q", got)
		}
		if _, err := os.Stat(filepath.Join(dir, "access-notes.jsonl")); err != nil {
			t.Errorf("a file that is no closed log was removed: %v", err)
		}
		os.Remove(filepath.Join(dir, "access-notes.jsonl"))
		wantWhole(t, dir)
	})
}

func TestKeepBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		cfg := config(dir)
		cfg.FileBytesMax, cfg.KeepBytes = 4<<10, 12<<10
		l := open(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		for i := range 100 {
			appendTo(t, l, &audit.Record{RequestID: fmt.Sprint(i)})
		}
		<-time.After(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		names, _ := filepath.Glob(filepath.Join(dir, "access-*.jsonl"))
		if len(names) < 2 || len(names) > 3 {
			t.Errorf("kept %q", names)
		}
		wantWhole(t, dir)
	})
}

// What a crash leaves of a record is closed off, and the chain goes on behind the last whole one.
func TestTornLine(t *testing.T) {
	for _, tt := range []struct {
		name, torn string
		want       string
	}{
		{"the beginning of a record", `{"format":1,"seq":4,"prev":"01`, "file start request torn crash start request stop"},
		{"several lines", "\x00\x00\x00\nabc\n{}\nx", "file start request torn torn torn torn crash start request stop"},
		{"zeros", strings.Repeat("\x00", 3<<20), "file start request torn crash start request stop"},
		{"nothing", "", "file start request start request stop"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			appendTo(t, open(t, config(dir)), &audit.Record{RequestID: "a"})
			add(t, filepath.Join(dir, "access.jsonl"), tt.torn)
			l := open(t, config(dir))
			appendTo(t, l, &audit.Record{RequestID: "b"})
			closeLog(t, l)
			got := strings.ReplaceAll(events(t, dir), "torn torn torn torn torn", "torn torn torn torn")
			if got != tt.want {
				t.Errorf("events %s", got)
			}
			wantWhole(t, dir)
		})
	}
}

// A record that lacks its line end alone is whole.
func TestLineEndLost(t *testing.T) {
	dir := t.TempDir()
	appendTo(t, open(t, config(dir)), &audit.Record{RequestID: "a"})
	path := filepath.Join(dir, "access.jsonl")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-1); err != nil {
		t.Fatal(err)
	}
	closeLog(t, open(t, config(dir)))
	if got := events(t, dir); got != "file start request start stop" {
		t.Errorf("events %s", got)
	}
	wantWhole(t, dir)
}

func add(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A start after the file was renamed and before the next was made goes on with the chain.
func TestCrashBetweenFiles(t *testing.T) {
	dir := t.TempDir()
	closeLog(t, open(t, config(dir)))
	if err := os.Rename(filepath.Join(dir, "access.jsonl"), filepath.Join(dir, "access-20260101T000000.000000000Z.jsonl")); err != nil {
		t.Fatal(err)
	}
	closeLog(t, open(t, config(dir)))
	if got := events(t, dir); got != "file start stop file start stop" {
		t.Errorf("events %s", got)
	}
	wantWhole(t, dir)
}

// flaky is a file that fails when told, after writing part of what it was given.
type flaky struct {
	audit.File
	fail *atomic.Int64 // writes that fail
}

var errDisk = errors.New("no space left on device")

func (f flaky) Write(p []byte) (int, error) {
	if f.fail.Add(-1) >= 0 {
		n, _ := f.File.Write(p[:len(p)*2/3])
		return n, errDisk
	}
	return f.File.Write(p)
}

func openFlaky(fail *atomic.Int64) func(string) (audit.File, error) {
	return func(path string) (audit.File, error) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o600)
		return flaky{f, fail}, err
	}
}

// While the disk refuses, requests wait; when it takes lines again, none is lost or doubled.
func TestDiskRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var fail atomic.Int64
		var said bytes.Buffer
		cfg := config(dir)
		cfg.Open, cfg.Logger = openFlaky(&fail), slog.New(slog.NewTextHandler(&said, nil))
		l := open(t, cfg)
		fail.Store(5)
		const records = 30
		began := time.Now()
		for i := range records {
			appendTo(t, l, &audit.Record{RequestID: fmt.Sprint(i)})
		}
		if waited := time.Since(began); waited < 2*time.Second {
			t.Errorf("nobody waited for the disk: %v", waited)
		}
		closeLog(t, l)
		got := ids(t, dir)
		for i, id := range got {
			if id != fmt.Sprint(i) {
				t.Fatalf("records %v", got)
			}
		}
		if len(got) != records {
			t.Errorf("%d records of %d", len(got), records)
		}
		if strings.Count(said.String(), "cannot be written") != 1 || !strings.Contains(said.String(), "written again") {
			t.Errorf("log: %s", said.String())
		}
		wantWhole(t, dir)
	})
}

// With Shed nobody waits, what was left out is counted in a record, and the chain is whole, whichever
// writes fail.
func TestShed(t *testing.T) {
	for failures := range int64(12) {
		for good := range int64(6) {
			dir := t.TempDir()
			var fail atomic.Int64
			cfg := config(dir)
			cfg.Open, cfg.Full = openFlaky(&fail), audit.Shed
			l := open(t, cfg)
			const records = 40
			for i := range int64(records) {
				if i == good || i == 20+good {
					fail.Store(failures)
				}
				appendTo(t, l, &audit.Record{RequestID: fmt.Sprint(i)})
			}
			fail.Store(0)
			closeLog(t, l)
			shed := 0
			for _, r := range lines(t, dir) {
				if r["event"] == "shed" {
					shed += int(r["records"].(float64))
				}
			}
			kept := len(ids(t, dir))
			if kept+shed != records || failures > 2 && shed == 0 || int(l.Stats().Shed) != shed {
				t.Fatalf("%d failures after %d: %d records kept, %d left out (%d counted)", failures, good, kept, shed, l.Stats().Shed)
			}
			wantWhole(t, dir)
		}
	}
}

// A disk that takes lines again is noticed soon, also where nobody waits for it, and each time anew.
func TestDiskTakesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var fail atomic.Int64
		var said bytes.Buffer
		cfg := config(dir)
		cfg.Open, cfg.Full, cfg.Logger = openFlaky(&fail), audit.Shed, slog.New(slog.NewTextHandler(&said, nil))
		l := open(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		for i := range 3 {
			fail.Store(1 << 30)
			appendTo(t, l, &audit.Record{RequestID: fmt.Sprint(i)})
			<-time.After(10 * time.Second)
			synctest.Wait()
			fail.Store(0)
			<-time.After(2 * time.Second)
			synctest.Wait()
			if n := strings.Count(said.String(), "written again"); n != i+1 {
				t.Errorf("after %d failures the log was written again %d times", i+1, n)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		wantWhole(t, dir)
	})
}

// A disk that never takes the last lines is an error, and holds nobody.
func TestDiskDead(t *testing.T) {
	var fail atomic.Int64
	cfg := config(t.TempDir())
	cfg.Open = openFlaky(&fail)
	l := open(t, cfg)
	fail.Store(1 << 30)
	done := make(chan error)
	go func() { done <- l.Append(&audit.Record{RequestID: "x"}) }()
	if err := l.Close(); !errors.Is(err, errDisk) || !strings.Contains(err.Error(), "not written") {
		t.Errorf("got %v", err)
	}
	if err := <-done; !errors.Is(err, audit.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Open(config(file)); err == nil {
		t.Error("a file was taken for a directory")
	}
}

// BenchmarkAppend measures a record with the log on disk, in a directory of AUDIT_BENCH_DIR when that is
// set. cpu-µs/op is the processor time of the whole process, in the kernel too.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 8} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			dir, err := os.MkdirTemp(os.Getenv("AUDIT_BENCH_DIR"), "audit")
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { os.RemoveAll(dir) })
			cfg := config(dir)
			cfg.KeepBytes = 128 << 20
			l := open(b, cfg)
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error, 1)
			go func() { done <- l.Run(ctx) }()
			r := audit.Record{
				Time: someTime, RemoteAddr: "127.0.0.1:54321", User: "user:alice", AccessKeyID: "SHOALTESTKEY00000001", Method: "GET",
				Bucket: "bucket", Key: "some/prefix/object-000001", Operation: "GetObject", Status: 200, BytesSent: 1024,
				UserAgent: "aws-sdk-go-v2/1.47.7 os/linux lang/go#1.26", Duration: 432100, RequestID: "0123456789ABCDEF",
				Decision: audit.Allowed, Reason: "s3:GetObject allowed by identity_policy readwrite, statement 1",
			}
			before := processorTime(b)
			b.ReportAllocs()
			b.SetParallelism(writers)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := l.Append(&r); err != nil {
						b.Error(err)
					}
				}
			})
			b.StopTimer()
			b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
			cancel()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		})
	}
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
