package consensus

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

var update = flag.Bool("update", false, "rewrite golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	text := hex.EncodeToString(got)
	var b strings.Builder
	for len(text) > 64 {
		b.WriteString(text[:64] + "\n")
		text = text[64:]
	}
	b.WriteString(text + "\n")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s: encoding is\n%swant\n%s", name, b.String(), want)
	}
}

func testEntry() *raftpb.Entry {
	return new(entryBuf).set(raftpb.EntryNormal, 0x0102, 7, []byte("command"))
}

func testConfiguration() *configuration {
	return &configuration{Voters: []ReplicaID{1, 2, 4}, Learners: []ReplicaID{5}, Outgoing: []ReplicaID{1, 2, 3}, LearnersNext: []ReplicaID{3},
		AutoLeave: true, MaxReplica: 6, Members: []Member{{1, "node-a"}, {2, "node-b"}, {3, "node-c"}, {4, "node-d"}, {5, "node-e"}}}
}

func testRecovered() *configuration {
	return &configuration{Voters: []ReplicaID{1 << 21}, MaxReplica: 1 << 21, Members: []Member{{1 << 21, "node-c"}},
		Recovered: &Recovery{At: time.Unix(0, 1_700_000_000_123_456_789), Times: 2, Old: 3, Last: 77, LastTerm: 8}}
}

func testMessage() *raftpb.Message {
	return &raftpb.Message{Type: raftpb.MsgApp.Enum(), To: new(uint64(2)), From: new(uint64(1)), Term: new(uint64(9)), LogTerm: new(uint64(7)),
		Index: new(uint64(0x0101)), Commit: new(uint64(300)), Entries: []*raftpb.Entry{testEntry()}}
}

func testHeader() *snapshotHeader {
	return &snapshotHeader{group: 3, to: 5, from: 1, term: 9, pos: logPos{Index: 77, Term: 8}, conf: testConfiguration()}
}

// testStream is the stream of a small state, whose own records agree with testHeader.
func testStream(t testing.TB) []byte {
	t.Helper()
	db := openDB(t, vfs.NewMem(), "x")
	defer db.Close()
	h := testHeader()
	for _, kv := range []struct{ k, v []byte }{
		{appliedKey(h.group), h.pos.encode()}, {confKey(h.group), h.conf.encode()}, {machineKey(h.group, 1), []byte("one")}, {machineKey(h.group, 2), nil},
		{machineKey(h.group+1, 2), []byte("of another group")},
	} {
		if err := db.Set(kv.k, kv.v, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	sn := db.NewSnapshot()
	defer sn.Close()
	var buf bytes.Buffer
	if err := exportState(sn, h.group, &buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// TestGolden pins every encoding that persists or travels.
func TestGolden(t *testing.T) {
	entry := make([]byte, entryRecordLen(testEntry()))
	putEntry(entry, testEntry())
	frame := appendFrameHeader(nil, frameHeader{Store: 0x1112131415161718, Boot: 0x2122232425262728, Durable: 0x0304})
	frame = appendFrameItem(frame, item{Group: 300, To: 2, From: 1, Kind: itemRaft, Payload: appendMessage(nil, testMessage())})
	frame = appendFrameItem(frame, item{Group: 1, To: 2, From: 1, Kind: itemQuiesce, Payload: appendQuiesce(nil, 9, 300)})
	frame = appendFrameItem(frame, item{Group: 1, To: 2, From: 1, Kind: itemWake})
	frame = appendFrameItem(frame, item{Group: 1, To: 2, From: 1, Kind: itemRemoved, Payload: appendRemoved(nil, 8)})
	for name, b := range map[string][]byte{
		"entry":                   entry,
		"entry-key":               entryKey(3, 0x0102030405),
		"hard-state":              hardState{Term: 9, Vote: 2, Commit: 300}.encode(),
		"position":                logPos{Index: 77, Term: 8}.encode(),
		"replica":                 replicaRecord{Present: true, ID: 5, Next: 6}.encode(),
		"tombstone":               replicaRecord{ID: 5, Next: 9}.encode(),
		"configuration":           testConfiguration().encode(),
		"configuration-recovered": testRecovered().encode(),
		"side-slot":               sideRecord{Store: 0x1112131415161718, Durable: 0x0304}.encode(5),
		"frame":                   frame,
		"snapshot-header":         testHeader().encode(),
		"snapshot-stream":         testStream(t),
	} {
		golden(t, name, b)
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	c, err := decodeConfiguration(testConfiguration().encode())
	if err != nil || !reflect.DeepEqual(c, testConfiguration()) {
		t.Errorf("configuration: %+v, %v", c, err)
	}
	c, err = decodeConfiguration(testRecovered().encode())
	if err != nil || !reflect.DeepEqual(c, testRecovered()) {
		t.Errorf("recovered configuration: %+v, %v", c, err)
	}
	m, err := decodeMessage(appendMessage(nil, testMessage()), 2, 1)
	want := testMessage()
	want.RejectHint, want.Reject = new(uint64(0)), new(false)
	if err != nil || !proto.Equal(m, want) {
		t.Errorf("message: %v, %v; want %v", m, err, want)
	}
	h, err := decodeSnapshotHeader(testHeader().encode())
	if err != nil || !reflect.DeepEqual(h, testHeader()) {
		t.Errorf("snapshot header: %+v, %v", h, err)
	}
}

func TestDecodeMessageRefuses(t *testing.T) {
	msg := func(mod func(*raftpb.Message)) []byte {
		m := testMessage()
		mod(m)
		return appendMessage(nil, m)
	}
	read := &raftpb.Entry{Data: []byte("0123456789abcdef")}
	for name, b := range map[string][]byte{
		"empty":                 nil,
		"local type":            msg(func(m *raftpb.Message) { m.Type = raftpb.MsgHup.Enum() }),
		"proposal":              msg(func(m *raftpb.Message) { m.Type = raftpb.MsgProp.Enum() }),
		"storage answer":        msg(func(m *raftpb.Message) { m.Type = raftpb.MsgStorageAppendResp.Enum() }),
		"snapshot in a frame":   msg(func(m *raftpb.Message) { m.Type = raftpb.MsgSnap.Enum() }),
		"no term":               msg(func(m *raftpb.Message) { m.Term = nil }),
		"entry of a later term": msg(func(m *raftpb.Message) { m.Term = new(uint64(6)) }),
		"terms fall":            msg(func(m *raftpb.Message) { m.LogTerm = new(uint64(8)) }),
		"vote with entries":     msg(func(m *raftpb.Message) { m.Type = raftpb.MsgVote.Enum() }),
		"read without context":  msg(func(m *raftpb.Message) { m.Type, m.Entries, m.Term = raftpb.MsgReadIndex.Enum(), nil, nil }),
		"read with a term":      msg(func(m *raftpb.Message) { m.Type, m.Entries = raftpb.MsgReadIndex.Enum(), []*raftpb.Entry{read} }),
		"short heartbeat context": msg(func(m *raftpb.Message) {
			m.Type, m.Entries, m.Context = raftpb.MsgHeartbeat.Enum(), nil, []byte("abc")
		}),
		"trailing byte": append(appendMessage(nil, testMessage()), 0),
		"cut":           appendMessage(nil, testMessage())[:12],
	} {
		if m, err := decodeMessage(b, 2, 1); err == nil {
			t.Errorf("%s: accepted as %v", name, m)
		}
	}
}

func TestReadStreamRefuses(t *testing.T) {
	good := testStream(t)
	visit := func(k, v []byte) error { return nil }
	if err := readStream(bytes.NewReader(good), visit); err != nil {
		t.Fatal(err)
	}
	for cut := range len(good) {
		if err := readStream(bytes.NewReader(good[:cut]), visit); !errors.Is(err, ErrBadSnapshot) {
			t.Fatalf("stream cut to %d bytes: %v", cut, err)
		}
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if err := readStream(bytes.NewReader(bad), visit); !errors.Is(err, ErrBadSnapshot) {
			t.Fatalf("stream with byte %d flipped: %v", i, err)
		}
	}
}

func TestImportChecksHeader(t *testing.T) {
	fs := vfs.NewMem()
	db := openDB(t, fs, "x")
	defer db.Close()
	for name, tc := range map[string]struct {
		mod func(*snapshotHeader)
		ok  bool
	}{
		"as promised":   {func(*snapshotHeader) {}, true},
		"other index":   {func(h *snapshotHeader) { h.pos.Index++ }, false},
		"other term":    {func(h *snapshotHeader) { h.pos.Term++ }, false},
		"other members": {func(h *snapshotHeader) { h.conf.Voters = h.conf.Voters[:1] }, false},
	} {
		h := testHeader()
		tc.mod(h)
		_, err := importState(t.Context(), db, fs, "x/"+snapshotFilePrefix, h, bytes.NewReader(testStream(t)))
		if ok := err == nil; ok != tc.ok || err != nil && !errors.Is(err, ErrBadSnapshot) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzFrame(f *testing.F) {
	frame := appendFrameHeader(nil, frameHeader{Store: 1, Boot: 2, Durable: 3})
	f.Add(frame)
	frame = appendFrameItem(frame, item{Group: 300, To: 2, From: 1, Kind: itemRaft, Payload: appendMessage(nil, testMessage())})
	f.Add(appendFrameItem(frame, item{Group: 1, To: 2, From: 1, Kind: itemQuiesce, Payload: appendQuiesce(nil, 9, 300)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		err := decodeFrame(b, func(h frameHeader) error { again = appendFrameHeader(nil, h); return nil }, func(it item) error {
			again = appendFrameItem(again, it)
			if it.Kind == itemRaft {
				if m, err := decodeMessage(it.Payload, it.To, it.From); err == nil && !bytes.Equal(appendMessage(nil, m), it.Payload) {
					t.Fatalf("message %x encodes as %x", it.Payload, appendMessage(nil, m))
				}
			}
			return nil
		})
		if err == nil && !bytes.Equal(again, b) {
			t.Fatalf("frame %x encodes as %x", b, again)
		}
	})
}

func FuzzRecords(f *testing.F) {
	entry := make([]byte, entryRecordLen(testEntry()))
	putEntry(entry, testEntry())
	for _, b := range [][]byte{entry, testConfiguration().encode(), hardState{1, 2, 3}.encode(), logPos{1, 2}.encode(),
		replicaRecord{true, 1, 2}.encode(), testHeader().encode(), sideRecord{1, 2}.encode(3)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		same := func(what string, again []byte) {
			t.Helper()
			if !bytes.Equal(again, b) {
				t.Fatalf("%s %x encodes as %x", what, b, again)
			}
		}
		if e, err := decodeEntry(b, 5); err == nil {
			again := make([]byte, entryRecordLen(e))
			putEntry(again, e)
			same("entry", again)
		}
		if c, err := decodeConfiguration(b); err == nil {
			same("configuration", c.encode())
		}
		if h, err := decodeHardState(b); err == nil {
			same("hard state", h.encode())
		}
		if p, err := decodePos(b, "position"); err == nil {
			same("position", p.encode())
		}
		if r, err := decodeReplica(b); err == nil {
			same("replica", r.encode())
		}
		if h, err := decodeSnapshotHeader(b); err == nil {
			same("snapshot header", h.encode())
		}
		if s, turn, ok := decodeSideSlot(b); ok && len(b) == sideSlotLen {
			same("side slot", s.encode(turn))
		}
	})
}

func FuzzStream(f *testing.F) {
	f.Add(testStream(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		var prev []byte
		_ = readStream(bytes.NewReader(b), func(k, v []byte) error {
			if len(k) == 0 || bytes.Compare(prev, k) >= 0 && prev != nil {
				t.Fatalf("key %x after %x", k, prev)
			}
			prev = bytes.Clone(k)
			return nil
		})
	})
}
