package meta

import (
	"bytes"
	"encoding/binary"
	"testing"

	"google.golang.org/protobuf/proto"

	"shoal/node/consensus"
)

// FuzzApply feeds bytes that nobody checked to the state machine, as one command or, cut at each
// 0xFE 0xFE, as several. It must answer each, never fail, and keep counting right.
func FuzzApply(f *testing.F) {
	for _, script := range [][]isCommand_Op{partitionScript(), systemScript()} {
		var all []byte
		for i, c := range script {
			b, err := proto.Marshal(&Command{Stamp: testEpoch + int64(i), Op: c})
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
			all = append(append(all, b...), 0xfe, 0xfe)
		}
		f.Add(all)
	}
	r := newRig(f, Config{})
	f.Fuzz(func(t *testing.T, data []byte) {
		r.t = t
		for _, g := range []consensus.GroupID{0, testGroup} {
			b := r.db.NewIndexedBatch()
			var es []consensus.Entry
			for _, c := range bytes.Split(data, []byte{0xfe, 0xfe}) {
				es = append(es, consensus.Entry{Group: g, Data: c})
			}
			out, err := r.m.Apply(b, g, es)
			if err != nil || len(out) != len(es) {
				t.Fatalf("%d results, %v", len(out), err)
			}
			if g == testGroup {
				recount(t, &view{r: b, g: g})
			}
			if err := b.Close(); err != nil { // each input begins with nothing
				t.Fatal(err)
			}
		}
	})
}

// recount compares the counters of a group with what lies in it.
func recount(t *testing.T, v *view) {
	var got counters
	head := func(object uint64) func(_, val []byte) (bool, error) {
		return func(_, val []byte) (bool, error) {
			var h head
			if !h.parse(val) {
				t.Fatalf("head %x", val)
			}
			got.versions++
			got.bytes += h.size
			if !h.marker() {
				got.objects += object
			}
			return true, nil
		}
	}
	var garbage uint64
	for space, f := range map[byte]func(_, val []byte) (bool, error){
		spaceCurrent: head(1), spaceBuried: head(1), spaceVersion: head(0),
		spaceUpload:  func(_, _ []byte) (bool, error) { got.uploads++; return true, nil },
		spaceGarbage: func(_, _ []byte) (bool, error) { garbage++; return true, nil },
	} {
		if err := v.scan(appendSpace(nil, v.g, space), f); err != nil {
			t.Fatal(err)
		}
	}
	var h header
	if err := v.header(&h); err != nil {
		t.Fatal(err)
	}
	if got != h.totals || garbage != h.garbagePending {
		t.Fatalf("counted %+v and %d garbage entries, the header says %+v and %d", got, garbage, h.totals, h.garbagePending)
	}
}

// FuzzList compares List with a look at every key. keys are separated by 0xFE; a key that begins
// with '!' is one under a delete marker.
func FuzzList(f *testing.F) {
	f.Add([]byte("a\xfea/b\xfea/c\xfeb\xfe!c/d\xfec/e"), []byte(""), []byte("/"), []byte(""), uint8(2))
	f.Add([]byte("a/\x00\xfea/\x00\x00\xfea/\xff\xfe\xff\xff\xfe\x00"), []byte("a"), []byte("\x00"), []byte("a/"), uint8(1))
	f.Add([]byte("!a/1\xfe!a/2\xfea/3\xfe!b/1"), []byte(""), []byte("/"), []byte("a/1"), uint8(1))
	f.Add([]byte("aXbXc\xfeaXXd\xfeaX"), []byte("aX"), []byte("X"), []byte("aXX"), uint8(3))
	r := newRig(f, Config{})
	f.Fuzz(func(t *testing.T, keys, prefix, delimiter, after []byte, size uint8) {
		w := &walk{rig: r, model: *newModel()}
		r.t = t
		b := w.bucket(7)
		var es []consensus.Entry
		add := func(op isCommand_Op) { es = append(es, consensus.Entry{Data: encode(t, &Command{Op: op})}) }
		add(versioning(7, "enabled"))
		b.mode = "enabled"
		for i, key := range bytes.Split(keys, []byte{0xfe}) {
			marker := bytes.HasPrefix(key, []byte("!"))
			if !keyOK(key) || i > 50 || b.keys[string(key)] != nil {
				continue
			}
			w.install(b, string(key), &modelVersion{id: string(vid(uint64(i + 1))), marker: marker, inline: true})
			if marker {
				add(deletion(&DeleteItem{Key: key}))
			} else {
				add(object(string(key), uint64(i+1)))
			}
		}
		batch := r.db.NewIndexedBatch()
		defer batch.Close()
		if _, err := r.m.Apply(batch, testGroup, es); err != nil {
			t.Fatal(err)
		}
		q := &ListQuery{Bucket: 7, Prefix: prefix, Delimiter: delimiter, After: after, Max: 1 + uint32(size%7)}
		if checkFold(prefix, delimiter, after) == nil {
			w.compareListOf(batch, b, q)
		}
	})
}

// FuzzListPage: whatever parses is encoded to something that means the same.
func FuzzListPage(f *testing.F) {
	p := &ListPage{Entries: []ListEntry{{Key: []byte("k"), ETag: []byte("e"), Size: 1, Mtime: 2, ChecksumAlgorithm: 3, ChecksumType: 1}},
		Prefixes: [][]byte{[]byte("a/")}, Truncated: true, Next: []byte("k")}
	f.Add(AppendListPage(nil, p))
	f.Add([]byte{0x0a, 0x02, 0x2a, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseListPage(b)
		if err != nil {
			return
		}
		first := AppendListPage(nil, p)
		again, err := ParseListPage(first)
		if err != nil || !bytes.Equal(AppendListPage(nil, again), first) {
			t.Fatalf("%x became %x, %v", b, first, err)
		}
	})
}

// FuzzKey: escaping keeps order and loses nothing.
func FuzzKey(f *testing.F) {
	f.Add([]byte("a\x00b"), []byte("a"), []byte("rest"))
	f.Add([]byte("\x00\xff"), []byte("\x00\x01"), []byte{})
	f.Fuzz(func(t *testing.T, a, b, rest []byte) {
		ea, eb := appendKey(nil, a), appendKey(nil, b)
		if bytes.Compare(a, b) != bytes.Compare(ea, eb) {
			t.Fatalf("%x and %x change their order", a, b)
		}
		if bytes.HasPrefix(b, a) != bytes.HasPrefix(appendEscaped(nil, b), appendEscaped(nil, a)) {
			t.Fatalf("%x is no longer a prefix of %x", a, b)
		}
		key, tail, good := cutKey(nil, append(ea, rest...))
		if !good || !bytes.Equal(key, a) || !bytes.Equal(tail, rest) {
			t.Fatalf("%x was read back as %x and %x", a, key, tail)
		}
		_, _, _ = cutKey(nil, rest)
	})
}

// FuzzRecords: no stored bytes make a decoder panic, and what it accepts it writes again.
func FuzzRecords(f *testing.F) {
	h := head{version: versionID(vid(1)), size: 5, mtime: testEpoch, etag: []byte("e"), seq: 3, metadata: []byte("m")}
	f.Add(h.append(nil))
	hdr := newHeader()
	f.Add(hdr.append(nil))
	f.Add(binary.AppendUvarint(nil, 1<<63))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h, again head
		if h.parse(b) && (!again.parse(h.append(nil)) || !bytes.Equal(again.append(nil), h.append(nil))) {
			t.Fatalf("head %x", b)
		}
		h.parseListing(b)
		var hd, hd2 header
		if hd.parse(b) && (!hd2.parse(hd.append(nil)) || hd2 != hd) {
			t.Fatalf("header %x", b)
		}
		parseInline(new(LookupAnswer), b)
	})
}
