package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/gateway/audit"
)

const testWriter = "peer"

// testKey is the identity of a writer, or of a stranger.
func testKey(writer string) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, writer)
	return ed25519.NewKeyFromSeed(seed)
}

func keyOf(writer string) (ed25519.PublicKey, error) {
	if !strings.HasPrefix(writer, "peer") {
		return nil, errors.New("no such peer")
	}
	return testKey(writer).Public().(ed25519.PublicKey), nil
}

func verifyOptions(dir string) *audit.VerifyOptions {
	return &audit.VerifyOptions{Paths: []string{dir}, KeyOf: keyOf}
}

func verify(t testing.TB, o *audit.VerifyOptions) *audit.Report {
	t.Helper()
	r, err := audit.Verify(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantWhole demands that nothing is found in a directory.
func wantWhole(t testing.TB, dir string) {
	t.Helper()
	if r := verify(t, verifyOptions(dir)); !r.Whole() || len(r.Chains) != 1 {
		t.Errorf("found %+v", r)
	}
}

// evidence is a log of several files, with what its checkpoints were: the writer's own, in the directory
// beside the log, and those that another peer keeps.
type evidence struct {
	t       testing.TB
	dir     string
	foreign string // file
}

// newEvidence writes a log of three files and a tail behind the last checkpoint of another peer.
func newEvidence(t testing.TB) *evidence {
	t.Helper()
	e := &evidence{t: t, dir: t.TempDir(), foreign: filepath.Join(t.TempDir(), "foreign.jsonl")}
	e.write(testWriter, e.dir, 30, true)
	return e
}

// write appends requests to a log, and what it has come to to the files of checkpoints.
func (e *evidence) write(writer, dir string, records int, told bool) {
	e.t.Helper()
	own := filepath.Join(dir, audit.CheckpointDir)
	if err := os.MkdirAll(own, 0o700); err != nil {
		e.t.Fatal(err)
	}
	now := someTime
	cfg := config(dir)
	cfg.Writer, cfg.FileBytesMax = writer, 5<<10
	cfg.Now = func() time.Time { now = now.Add(time.Second); return now }
	cfg.Sign = func(b []byte) []byte { return ed25519.Sign(testKey(writer), b) }
	cfg.OnCheckpoint = func(c *audit.Checkpoint) {
		appendFile(e.t, filepath.Join(own, writer+".access.jsonl"), string(c.Text())+"\n")
		if told {
			appendFile(e.t, e.foreign, string(c.Text())+"\n")
		}
	}
	l := open(e.t, cfg)
	for i := range records {
		appendTo(e.t, l, &audit.Record{Time: now, RequestID: fmt.Sprintf("%s-%d", writer, i), Key: "secret plans"})
	}
	closeLog(e.t, l)
}

func appendFile(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// files are the paths of the log's files, oldest first.
func (e *evidence) files() []string {
	names, err := filepath.Glob(filepath.Join(e.dir, "access-*.jsonl"))
	if err != nil {
		e.t.Fatalf("files %v: %v", names, err)
	}
	return append(names, filepath.Join(e.dir, "access.jsonl"))
}

// edit changes the lines of one of the files.
func (e *evidence) edit(file int, change func(lines [][]byte) [][]byte) {
	e.t.Helper()
	path := e.files()[file]
	text, err := os.ReadFile(path)
	if err != nil {
		e.t.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	text = bytes.Join(change(lines[:len(lines)-1]), nil)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		e.t.Fatal(err)
	}
}

// rechain makes the chain right again from one of the files on, as an intruder would that knows how, through all
// later ones.
func (e *evidence) rechain(file int) {
	var p audit.Position
	first := true
	for i := range e.files()[file:] {
		e.edit(file+i, func(lines [][]byte) [][]byte {
			for k, line := range lines {
				if first {
					p, first = audit.Before(line), false
				}
				lines[k] = audit.Rechain(&p, line)
			}
			return lines
		})
	}
}

// TestTampering: whatever is done to a log is found, and named. own says that the log and the writer's own
// checkpoints suffice; else those that another peer keeps are needed.
func TestTampering(t *testing.T) {
	swap := func(lines [][]byte) [][]byte { lines[3], lines[4] = lines[4], lines[3]; return lines }
	remove := func(lines [][]byte) [][]byte { return append(lines[:3:3], lines[4:]...) }
	change := func(lines [][]byte) [][]byte {
		lines[3] = bytes.Replace(lines[3], []byte("secret plans"), []byte("holiday pics"), 1)
		return lines
	}
	insert := func(lines [][]byte) [][]byte {
		return append(append(lines[:4:4], bytes.Replace(lines[3], []byte(`-`), []byte(`+`), 1)), lines[4:]...)
	}
	for _, tt := range []struct {
		name string
		do   func(e *evidence)
		own  bool
		kind audit.Kind
	}{
		{"a record changed", func(e *evidence) { e.edit(1, change) }, true, audit.Changed},
		{"the first record of the log changed", func(e *evidence) {
			e.edit(0, func(l [][]byte) [][]byte { l[0] = bytes.Replace(l[0], []byte("v1"), []byte("v2"), 1); return l })
		}, true, audit.Changed},
		{"the last record of a closed file changed", func(e *evidence) {
			e.edit(0, func(l [][]byte) [][]byte {
				l[len(l)-1] = bytes.Replace(l[len(l)-1], []byte("plans"), []byte("pland"), 1)
				return l
			})
		}, true, audit.Changed},
		{"the last record of all changed", func(e *evidence) {
			e.edit(len(e.files())-1, func(l [][]byte) [][]byte {
				l[len(l)-1] = bytes.Replace(l[len(l)-1], []byte("2026"), []byte("2025"), 1)
				return l
			})
		}, true, audit.Rewritten},
		{"a record removed", func(e *evidence) { e.edit(1, remove) }, true, audit.Removed},
		{"the first record of a file removed", func(e *evidence) {
			e.edit(1, func(l [][]byte) [][]byte { return l[1:] })
		}, true, audit.Strange},
		{"a file removed", func(e *evidence) { os.Remove(e.files()[1]) }, true, audit.Removed},
		{"the first file removed", func(e *evidence) { os.Remove(e.files()[0]) }, true, audit.CutOff},
		{"two records swapped", func(e *evidence) { e.edit(1, swap) }, true, audit.Reordered},
		{"a record inserted", func(e *evidence) { e.edit(1, insert) }, true, audit.Inserted},
		{"a record doubled", func(e *evidence) {
			e.edit(1, func(l [][]byte) [][]byte { return append(append(l[:4:4], l[3]), l[4:]...) })
		}, true, audit.Inserted},
		{"the end cut off", func(e *evidence) {
			e.edit(len(e.files())-1, func(l [][]byte) [][]byte { return l[:len(l)-2] })
		}, true, audit.CutOff},
		{"the last file removed", func(e *evidence) { os.Remove(e.files()[len(e.files())-1]) }, true, audit.CutOff},
		{"the end cut off in a record, as by a crash", func(e *evidence) {
			e.edit(len(e.files())-1, func(l [][]byte) [][]byte {
				l[len(l)-2] = l[len(l)-2][:40]
				return l[:len(l)-1]
			})
		}, true, audit.CutOff},
		{"the end cut off, and the process started over it", func(e *evidence) {
			e.edit(len(e.files())-1, func(l [][]byte) [][]byte {
				l[len(l)-2] = l[len(l)-2][:40]
				return l[:len(l)-1]
			})
			e.write(testWriter, e.dir, 3, true)
		}, true, audit.Rewritten},
		{"a crash pretended in the middle", func(e *evidence) {
			e.edit(1, func(l [][]byte) [][]byte { l[3] = []byte("\x00\x00\n"); return l })
		}, true, audit.Changed},
		{"what a crash broke off changed", func(e *evidence) {
			appendFile(e.t, e.files()[len(e.files())-1], "torn")
			e.write(testWriter, e.dir, 1, true)
			e.edit(len(e.files())-1, func(l [][]byte) [][]byte {
				for i := range l {
					l[i] = bytes.Replace(l[i], []byte("torn\n"), []byte("toro\n"), 1)
				}
				return l
			})
		}, true, audit.Changed},
		{"a record changed, and all hashes behind it", func(e *evidence) {
			e.edit(1, change)
			e.rechain(1)
		}, true, audit.Rewritten},
		{"a record removed, and all numbers and hashes behind it", func(e *evidence) {
			e.edit(1, remove)
			e.rechain(1)
		}, true, audit.Rewritten},
		{"a removal pretended to be the log's own", func(e *evidence) {
			os.Remove(e.files()[0])
			e.edit(len(e.files())-1, func(l [][]byte) [][]byte {
				return append(l, bytes.Replace(l[len(l)-1], []byte(`"stop"`), []byte(`"pruned"`), 1))
			})
			e.rechain(0)
		}, true, audit.CutOff},
		{"a record changed, and the writer's checkpoints removed", func(e *evidence) {
			e.edit(1, change)
			e.rechain(1)
			os.RemoveAll(filepath.Join(e.dir, audit.CheckpointDir))
		}, false, audit.Rewritten},
		{"the end cut off, and the writer's checkpoints removed", func(e *evidence) {
			e.edit(len(e.files())-1, func(l [][]byte) [][]byte { return l[:len(l)-2] })
			os.RemoveAll(filepath.Join(e.dir, audit.CheckpointDir))
		}, false, audit.CutOff},
		{"the disk rewritten with the writer's key", func(e *evidence) {
			for _, path := range e.files() {
				os.Remove(path)
			}
			os.RemoveAll(filepath.Join(e.dir, audit.CheckpointDir))
			e.write(testWriter, e.dir, 30, false)
		}, false, audit.CutOff},
		{"the disk rewritten in the same chain with the writer's key", func(e *evidence) {
			e.edit(0, change)
			e.rechain(0)
			os.RemoveAll(filepath.Join(e.dir, audit.CheckpointDir))
			e.write(testWriter, e.dir, 3, false)
		}, false, audit.Rewritten},
		{"another writer's log in its place", func(e *evidence) {
			for _, path := range e.files() {
				os.Remove(path)
			}
			os.RemoveAll(filepath.Join(e.dir, audit.CheckpointDir))
			e.write("peer2", e.dir, 30, false)
		}, false, audit.CutOff},
		{"nothing left", func(e *evidence) {
			for _, path := range e.files() {
				os.Remove(path)
			}
			os.RemoveAll(filepath.Join(e.dir, audit.CheckpointDir))
		}, false, audit.CutOff},
		{"a checkpoint forged", func(e *evidence) {
			path := filepath.Join(e.dir, audit.CheckpointDir, testWriter+".access.jsonl")
			text, _ := os.ReadFile(path)
			os.WriteFile(path, bytes.Replace(text, []byte(`"seq":`), []byte(`"seq":9`), 1), 0o600)
		}, true, audit.Forged},
		{"a checkpoint by another key", func(e *evidence) {
			c := &audit.Checkpoint{Writer: testWriter, Log: audit.AccessLog, Chain: strings.Repeat("0", 32), Seq: 3, Hash: strings.Repeat("0", 64), Time: someTime}
			c.Signature = ed25519.Sign(testKey("mallory"), audit.Message(c))
			appendFile(e.t, filepath.Join(e.dir, audit.CheckpointDir, testWriter+".access.jsonl"), string(c.Text())+"\n")
		}, true, audit.Forged},
		{"a file that is no log", func(e *evidence) { appendFile(e.t, filepath.Join(e.dir, "access-x.jsonl"), "hello\n") }, true, audit.Strange},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newEvidence(t)
			o := verifyOptions(e.dir)
			o.Checkpoints, o.Writer = []string{e.foreign}, testWriter
			if r := verify(t, o); !r.Whole() || r.Chains[0].Foreign != r.Chains[0].Last || r.Chains[0].Records < 30 {
				t.Fatalf("found before: %+v", r)
			}
			tt.do(e)
			if r := verify(t, o); !found(r, tt.kind) {
				t.Errorf("not found: %+v", r)
			}
			if r := verify(t, verifyOptions(e.dir)); tt.own != !r.Whole() {
				t.Errorf("without another peer's checkpoints: %+v", r)
			}
		})
	}
}

// found says whether a finding of a kind is there.
func found(r *audit.Report, kind audit.Kind) bool {
	all := r.Findings
	for _, c := range r.Chains {
		all = append(all, c.Findings...)
	}
	for _, f := range all {
		if f.Kind == kind {
			return true
		}
	}
	return false
}

// A part of a log is whole by itself when it is said to be one.
func TestPartial(t *testing.T) {
	e := newEvidence(t)
	o := verifyOptions(e.dir)
	o.Paths, o.Checkpoints = e.files()[1:2], []string{e.foreign}
	if r := verify(t, o); !found(r, audit.CutOff) {
		t.Errorf("one file passes for all: %+v", r)
	}
	o.Partial = true
	if r := verify(t, o); !r.Whole() || r.Chains[0].Attested == 0 {
		t.Errorf("found %+v", r)
	}
}

// FuzzVerify: whatever the files hold, verification ends without a panic.
func FuzzVerify(f *testing.F) {
	log, err := os.ReadFile(filepath.Join("testdata", "v1", "access.jsonl"))
	if err != nil {
		f.Fatal(err)
	}
	points, err := os.ReadFile(filepath.Join("testdata", "v1", audit.CheckpointDir, testWriter+".access.jsonl"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(log, points)
	f.Add(log[:len(log)/2], points)
	f.Add(append(log[:len(log):len(log)], "\x00\n{}"...), append(points[:len(points):len(points)], points...))
	f.Add([]byte("\x00\n{}\n"), []byte("{}\n"))
	f.Fuzz(func(t *testing.T, log, checkpoints []byte) {
		dir := t.TempDir()
		for name, text := range map[string][]byte{"access.jsonl": log, "access-20260101T000000.000000000Z.jsonl": log, "points": checkpoints} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		o := verifyOptions(dir)
		o.Checkpoints = []string{filepath.Join(dir, "points")}
		if _, err := audit.Verify(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzCheckpoint: what is taken for a checkpoint is written again as it was.
func FuzzCheckpoint(f *testing.F) {
	c := &audit.Checkpoint{Writer: testWriter, Log: audit.AccessLog, Chain: strings.Repeat("0", 32), Seq: 3, Hash: strings.Repeat("0", 64), Time: someTime}
	f.Add(c.Text())
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := audit.ParseCheckpoint(text); err == nil && !bytes.Equal(c.Text(), text) {
			t.Errorf("%q became %q", text, c.Text())
		}
	})
}
