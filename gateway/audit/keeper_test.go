package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/gateway/audit"
)

// point is a signed checkpoint.
func point(writer string, seq uint64, content string, at time.Time) *audit.Checkpoint {
	c := &audit.Checkpoint{Writer: writer, Log: audit.AccessLog, Chain: strings.Repeat("0", 32), Seq: seq, Hash: fmt.Sprintf("%064x", content), Time: at}
	c.Hash = c.Hash[len(c.Hash)-64:]
	c.Signature = ed25519.Sign(testKey(writer), audit.Message(c))
	return c
}

func newKeeper(t testing.TB, dir string, log io.Writer) *audit.Keeper {
	t.Helper()
	k, err := audit.NewKeeper(dir, keyOf, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// kept gives the numbers of the checkpoints that are kept, in order.
func kept(t testing.TB, k *audit.Keeper) string {
	t.Helper()
	var text bytes.Buffer
	if _, err := k.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	var seqs []string
	for line := range strings.Lines(text.String()) {
		c, err := audit.ParseCheckpoint([]byte(strings.TrimSuffix(line, "\n")))
		if err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		seqs = append(seqs, fmt.Sprint(c.Seq))
	}
	return strings.Join(seqs, " ")
}

func TestKeeper(t *testing.T) {
	dir := t.TempDir()
	var said bytes.Buffer
	k := newKeeper(t, dir, &said)
	heard := func(from string, c *audit.Checkpoint) error { return k.Heard(from, c.Text()) }
	forged := point("peer1", 5, "x", someTime)
	forged.Seq = 6
	for name, err := range map[string]error{
		"of another":   heard("peer2", point("peer1", 1, "a", someTime)),
		"forged":       heard("peer1", forged),
		"no text":      k.Heard("peer1", []byte("{}")),
		"of nobody":    heard("mallory", point("mallory", 1, "a", someTime)),
		"a path":       heard("../x", point("../x", 1, "a", someTime)),
		"much too big": k.Heard("peer1", bytes.Repeat([]byte("x"), 1<<20)),
	} {
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for i, c := range []*audit.Checkpoint{
		point("peer1", 5, "five", someTime.Add(time.Second)), point("peer1", 9, "nine", someTime.Add(2*time.Second)),
		point("peer1", 9, "nine", someTime.Add(3*time.Second)), // again
		point("peer1", 7, "seven", someTime),                   // late
		point("peer1", 12, "twelve", someTime.Add(4*time.Second)),
	} {
		if err := heard("peer1", c); err != nil {
			t.Errorf("checkpoint %d: %v", i, err)
		}
	}
	if got := kept(t, k); got != "5 9 12" || said.Len() > 0 {
		t.Errorf("kept %s, said %s", got, said.String())
	}
	if err := heard("peer1", point("peer1", 8, "eight", someTime.Add(5*time.Second))); err != nil || !strings.Contains(said.String(), "contradicts") {
		t.Errorf("a rewritten log is not told of: %v %s", err, said.String())
	}
	if got := kept(t, k); got != "5 9 12 8" {
		t.Errorf("kept %s", got)
	}
	info, err := os.Stat(filepath.Join(dir, "peer1.access.jsonl"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	appendFile(t, filepath.Join(dir, "peer1.access.jsonl"), `{"format":1,"wri`) // a crash
	k = newKeeper(t, dir, &said)
	if err := k.Keep(point("peer1", 20, "twenty", someTime.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	if got := kept(t, k); got != "5 9 12 8 20" || k.Newest("peer1", audit.AccessLog).Seq != 20 {
		t.Errorf("kept %s", got)
	}
}

// What is kept of a log is bounded, grows thinner with age, and keeps what contradicts.
func TestKeeperThins(t *testing.T) {
	k := newKeeper(t, t.TempDir(), io.Discard)
	at, seq := someTime, uint64(0)
	add := func(n int, every time.Duration) {
		for range n {
			seq++
			at = at.Add(every)
			if err := k.Heard("peer1", point("peer1", seq, fmt.Sprint(seq), at).Text()); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(500, time.Hour)
	high := seq + 1_000_000
	for _, s := range []uint64{high, seq + 1} {
		at = at.Add(time.Second)
		if err := k.Heard("peer1", point("peer1", s, "x", at).Text()); err != nil {
			t.Fatal(err)
		}
	}
	seq++
	add(3000, 5*time.Minute)
	all := strings.Fields(kept(t, k))
	if len(all) > 1024 || len(all) < 100 {
		t.Errorf("%d kept", len(all))
	}
	if !strings.Contains(" "+strings.Join(all, " ")+" ", fmt.Sprintf(" %d ", high)) {
		t.Error("the checkpoint that shows a rewritten log was dropped")
	}
}
