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
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"shoal/gateway/audit"
)

var someTime = time.Date(2026, 3, 1, 4, 5, 6, 7, time.FixedZone("x", 3600))

func TestRecord(t *testing.T) {
	r := audit.Record{
		Time: someTime, RemoteAddr: "10.0.0.1:5", User: "root", AccessKeyID: "ID", Method: "GET", Bucket: "b", Key: "k",
		Operation: "GetObject", Status: 206, BytesSent: 5, BytesReceived: 6, UserAgent: "ua/1", Duration: 1234567 * time.Nanosecond,
		RequestID: "R", ErrorCode: "E", Aborted: true,
	}
	want := `{"timestamp":"2026-03-01T03:05:06.000000007Z","remote_addr":"10.0.0.1:5","user":"root","access_key_id":"ID",` +
		`"method":"GET","bucket":"b","key":"k","operation":"GetObject","status":206,"bytes_sent":5,"bytes_received":6,` +
		`"user_agent":"ua/1","duration_ms":1.235,"request_id":"R","error_code":"E","aborted":true}` + "\n"
	if got := string(r.AppendJSON(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// FuzzRecord: every record is one line of JSON that holds what was put in.
func FuzzRecord(f *testing.F) {
	for _, s := range []string{"", "a", `"\`, "\n\r\t\x00\x1f\x7f", "é€💾", "\xff\xc0\xaf\xed\xa0\x80", "\u2028\u2029", "</script>"} {
		f.Add(s, int64(1))
	}
	f.Fuzz(func(t *testing.T, text string, nanos int64) {
		r := audit.Record{Time: time.Unix(0, nanos), Key: text, UserAgent: text}
		line := r.AppendJSON(nil)
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
		if utf8.ValidString(text) && len(text) <= 2048 && got.Key != text {
			t.Errorf("%q became %q", text, got.Key)
		}
		if !got.Timestamp.Equal(r.Time) {
			t.Errorf("%v became %v", r.Time, got.Timestamp)
		}
	})
}

// run opens a log and runs it until the returned function is called.
func run(t *testing.T, cfg audit.Config) (*audit.Log, func() error) {
	t.Helper()
	l, err := audit.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return l, func() error { cancel(); return <-done }
}

// ids gives the request IDs in all files of a directory, in order.
func ids(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "access-*.log"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, name := range append(names, filepath.Join(dir, "access.log")) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var r struct {
				ID string `json:"request_id"`
			}
			if err := json.Unmarshal([]byte(line), &r); err == nil {
				all = append(all, r.ID)
			}
		}
	}
	return all
}

func TestNothingIsLost(t *testing.T) {
	dir := t.TempDir()
	l, end := run(t, audit.Config{Dir: dir, FileBytesMax: 20 << 10, QueueBytesMax: 2 << 10, FilesMax: 1000})
	const writers, each = 8, 100
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				l.Append(&audit.Record{RequestID: fmt.Sprintf("%d-%d", w, i)})
			}
		})
	}
	wg.Wait()
	if err := end(); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	next := make(map[string]int)
	for _, id := range ids(t, dir) {
		seen[id]++
		w, i, _ := strings.Cut(id, "-")
		if fmt.Sprint(next[w]) != i {
			t.Fatalf("record %s is out of order", id)
		}
		next[w]++
	}
	if len(seen) != writers*each {
		t.Errorf("%d records of %d", len(seen), writers*each)
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
	l.Append(&audit.Record{RequestID: "late"}) // returns although nobody writes
}

func TestOldFilesGo(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "access-notes.log"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		l, end := run(t, audit.Config{Dir: dir, FileBytesMax: 1, FilesMax: 2})
		l.Append(&audit.Record{RequestID: fmt.Sprint(i)})
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(ids(t, dir), " "); got != "3 4 5" {
		t.Errorf("kept %q", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "access-notes.log")); err != nil {
		t.Errorf("a file that is no rotated log was removed: %v", err)
	}
}

// After a crash in the middle of a line the next line begins at a line's start.
func TestTornLine(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "access.log"), []byte(`{"request_id":"a"}`+"\n"+`{"request_id":"b`), 0o600); err != nil {
		t.Fatal(err)
	}
	l, end := run(t, audit.Config{Dir: dir})
	l.Append(&audit.Record{RequestID: "c"})
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(ids(t, dir), " "); got != "a c" {
		t.Errorf("records %q", got)
	}
}

// flaky is a file that fails when told, after writing part of what it was given.
type flaky struct {
	audit.File
	fail *atomic.Int64 // writes that fail
}

var errDisk = errors.New("no space left on device")

func (f flaky) Write(p []byte) (int, error) {
	if f.fail.Add(-1) >= 0 {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, errDisk
	}
	return f.File.Write(p)
}

func openFlaky(fail *atomic.Int64) func(string) (audit.File, error) {
	return func(path string) (audit.File, error) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		return flaky{f, fail}, err
	}
}

// While the disk refuses, requests wait; when it takes lines again, none is lost or doubled.
func TestDiskRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var fail atomic.Int64
		fail.Store(5)
		var said bytes.Buffer
		l, end := run(t, audit.Config{Dir: dir, QueueBytesMax: 1 << 10, Open: openFlaky(&fail),
			Logger: slog.New(slog.NewTextHandler(&said, nil))})
		const records = 30 // several times the queue
		began := time.Now()
		for i := range records {
			l.Append(&audit.Record{RequestID: fmt.Sprint(i)})
		}
		if waited := time.Since(began); waited < 2*time.Second {
			t.Errorf("nobody waited for the disk: %v", waited)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		got := ids(t, dir)
		for i, id := range got {
			if id != fmt.Sprint(i) {
				t.Fatalf("records %v", got)
			}
		}
		if len(got) != records {
			t.Errorf("%d records of %d", len(got), records)
		}
		if strings.Count(said.String(), "not written") != 1 || !strings.Contains(said.String(), "written again") {
			t.Errorf("log: %s", said.String())
		}
	})
}

// A disk that never takes the last lines is an error with their number.
func TestDiskDead(t *testing.T) {
	var fail atomic.Int64
	fail.Store(1 << 30)
	l, end := run(t, audit.Config{Dir: t.TempDir(), Open: openFlaky(&fail)})
	l.Append(&audit.Record{RequestID: "x"})
	if err := end(); !errors.Is(err, errDisk) || !strings.Contains(err.Error(), "bytes are not written") {
		t.Errorf("got %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Open(audit.Config{Dir: file}); err == nil {
		t.Error("a file was taken for a directory")
	}
}

func BenchmarkAppend(b *testing.B) {
	l, err := audit.Open(audit.Config{Dir: b.TempDir(), FilesMax: 2})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	r := audit.Record{
		Time: someTime, RemoteAddr: "127.0.0.1:54321", User: "root", AccessKeyID: "AKIAIOSFODNN7EXAMPLE", Method: "GET",
		Bucket: "bucket", Key: "some/prefix/object-000001", Operation: "GetObject", Status: 200, BytesSent: 1024,
		UserAgent: "aws-sdk-go-v2/1.47.7 os/linux lang/go#1.26", Duration: 432100, RequestID: "0123456789ABCDEF",
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Append(&r)
		}
	})
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
