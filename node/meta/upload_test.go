package meta

import (
	"bytes"
	"fmt"
	"testing"

	"shoal/node/api"
)

// completion of the upload of key k from parts 1 and 2, streams 11 and 12.
func completionOf(change ...func(*CompleteUpload)) *Command_CompleteUpload {
	c := &CompleteUpload{
		Bucket: 7, Key: []byte("k"), Upload: vid(1), Manifest: []byte("whole"), Size: api.MinPartSize + 3, Etag: []byte("e-2"),
		ChecksumAlgorithm: 32, ChecksumValue: []byte("sum"),
		Parts: []*CompletePart{{Number: 1, Etag: md5Of("md5"), Stream: 11}, {Number: 2, Etag: md5Of("md5"), Stream: 12}},
	}
	for _, f := range change {
		f(c)
	}
	return &Command_CompleteUpload{c}
}

// uploading is a rig with an upload of three parts.
func uploading(t *testing.T) *rig {
	r := newRig(t, Config{})
	r.must(r.do(&Command_CreateUpload{&CreateUpload{Bucket: 7, Key: []byte("k"), Upload: vid(1), Metadata: []byte("meta")}}))
	r.must(r.do(partOf(1, 1, 11, api.MinPartSize)))
	r.must(r.do(partOf(1, 2, 12, 3)))
	r.must(r.do(partOf(1, 5, 15, 4)))
	return r
}

func TestComplete(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*CompleteUpload)
		want   api.Kind
	}{
		{"right", func(*CompleteUpload) {}, ok},
		{"one small part alone", func(c *CompleteUpload) { c.Parts, c.Size = c.Parts[1:], 3 }, ok},
		{"no parts", func(c *CompleteUpload) { c.Parts = nil }, api.InvalidArgument},
		{"no manifest", func(c *CompleteUpload) { c.Manifest = nil }, api.InvalidArgument},
		{"out of order", func(c *CompleteUpload) { c.Parts[0], c.Parts[1] = c.Parts[1], c.Parts[0] }, api.InvalidPartOrder},
		{"twice the same", func(c *CompleteUpload) { c.Parts[1] = c.Parts[0] }, api.InvalidPartOrder},
		{"number 0", func(c *CompleteUpload) { c.Parts[0].Number = 0 }, api.InvalidPartOrder},
		{"not uploaded", func(c *CompleteUpload) { c.Parts[1].Number = 3 }, api.InvalidPart},
		{"other ETag", func(c *CompleteUpload) { c.Parts[1].Etag = md5Of("else") }, api.InvalidPart},
		{"other checksum", func(c *CompleteUpload) { c.Parts[1].ChecksumValue = []byte("else") }, api.InvalidPart},
		{"replaced meanwhile", func(c *CompleteUpload) { c.Parts[1].Stream = 99 }, api.ConditionalConflict},
		{"too small", func(c *CompleteUpload) {
			c.Parts = append(c.Parts, &CompletePart{Number: 5, Etag: md5Of("md5"), Stream: 15})
			c.Size += 4
		}, api.EntityTooSmall},
		{"wrong size", func(c *CompleteUpload) { c.Size++ }, api.InvalidArgument},
		{"condition", func(c *CompleteUpload) { c.IfMatch = []byte("*") }, api.NoSuchKey},
		{"none match", func(c *CompleteUpload) { c.IfNoneMatch = true }, ok},
		{"other key", func(c *CompleteUpload) { c.Key = []byte("other") }, api.NoSuchUpload},
		{"other bucket", func(c *CompleteUpload) { c.Bucket = 8 }, api.NoSuchUpload},
		{"other upload", func(c *CompleteUpload) { c.Upload = vid(9) }, api.NoSuchUpload},
		{"stream of a part", func(c *CompleteUpload) { c.Streams = []uint64{15} }, api.InvalidArgument},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := uploading(t)
			before := r.ask(&Query_Counters{&CountersQuery{}}).GetCounters()
			res := r.do(completionOf(c.change))
			if c.want == ok {
				r.must(res)
				return
			}
			r.refused(res, c.want)
			after := r.ask(&Query_Counters{&CountersQuery{}}).GetCounters()
			if after.Group.String() != before.Group.String() || after.Garbage != before.Garbage {
				t.Fatalf("a refusal changed %v to %v", before, after)
			}
			r.must(r.do(completionOf())) // still possible
		})
	}
}

func TestCompleted(t *testing.T) {
	r := uploading(t)
	first := r.must(r.do(completionOf(func(c *CompleteUpload) { c.Streams = []uint64{99} })))
	a := r.ask(&Query_Lookup{&LookupQuery{Bucket: 7, Key: []byte("k"), Body: true, Parts: true}}).GetLookup()
	if string(a.Manifest) != "whole" || string(a.Head.Metadata) != "meta" || a.Head.Parts != 2 || len(a.Parts) != 2 || a.Parts[1].Size != 3 {
		t.Fatalf("version %v", a)
	}
	if s := r.owners(vid(1), 11, 12, 15, 99, 98); fmt.Sprint(s) != fmt.Sprint([]OwnerState{live, live, dead, live, dead}) {
		t.Fatalf("owners %v", s)
	}
	g := r.ask(&Query_Garbage{&GarbageQuery{}}).GetGarbage().Garbage
	if len(g) != 1 || !g[0].Part || g[0].Streams[0] != 15 || string(g[0].Manifest) != "part" {
		t.Fatalf("garbage %v", g)
	}
	again := r.must(r.do(completionOf()))
	if again.GetWritten().Mtime != first.GetWritten().Mtime {
		t.Fatalf("%v, then %v", first, again)
	}
	r.refused(r.do(partOf(1, 7, 77, 1)), api.NoSuchUpload)
	r.refused(r.do(&Command_AbortUpload{&AbortUpload{Bucket: 7, Key: []byte("k"), Upload: vid(1)}}), api.NoSuchUpload)
	r.refused(r.do(completionOf(func(c *CompleteUpload) { c.Etag = []byte("else") })), api.NoSuchUpload)
	r.must(r.do(object("k", 2)))
	gone := r.must(r.do(completionOf()))
	if w := gone.GetWritten(); w.Mtime != first.GetWritten().Mtime || w.Size != first.GetWritten().Size {
		t.Fatalf("%v, then, replaced, %v", first, gone)
	}
	r.refused(r.do(completionOf(func(c *CompleteUpload) { c.Etag = []byte("else") })), api.NoSuchUpload)
	r.refused(r.do(completionOf(func(c *CompleteUpload) { c.Parts = c.Parts[:1] })), api.NoSuchUpload)
	r.refused(r.do(object("k", 1, sharded(11))), api.UploadExpired)
	g = r.ask(&Query_Garbage{&GarbageQuery{After: g[0].Seq}}).GetGarbage().Garbage
	if len(g) != 1 || g[0].Part || string(g[0].Manifest) != "whole" || len(g[0].Streams) != 3 {
		t.Fatalf("garbage %v", g)
	}
}

func TestParts(t *testing.T) {
	r := uploading(t)
	first := r.ask(&Query_Parts{&PartsQuery{Upload: &UploadQuery{Bucket: 7, Key: []byte("k"), Upload: vid(1)}, Max: 1}}).GetParts()
	if len(first.Parts) != 1 || !first.Truncated || string(first.Upload.Key) != "k" {
		t.Fatalf("first page %v", first)
	}
	r.must(r.do(partOf(1, 2, 12, 3))) // again: nothing changes
	if c := r.ask(&Query_Counters{&CountersQuery{}}).GetCounters(); c.Garbage != 0 {
		t.Fatalf("a repeat made garbage: %v", c)
	}
	r.refused(r.do(partOf(1, 3, 12, 3)), api.InvalidArgument) // stream of part 2
	r.must(r.do(partOf(1, 2, 22, 5)))
	r.refused(r.do(partOf(1, 2, 12, 3)), api.UploadExpired) // replaced
	ref := &UploadQuery{Bucket: 7, Key: []byte("k"), Upload: vid(1)}
	rest := r.ask(&Query_Parts{&PartsQuery{Upload: ref, After: 1, Max: 100}}).GetParts()
	if len(rest.Parts) != 2 || rest.Truncated || rest.Parts[0].Stream != 22 {
		t.Fatalf("other parts %v", rest)
	}
	two := r.ask(&Query_PartManifests{&PartManifestsQuery{Upload: ref, Numbers: []uint32{1, 2, 5}, MaxBytes: 9}}).GetPartManifests()
	if len(two.Parts) != 2 || string(two.Parts[0].Manifest) != "part" {
		t.Fatalf("manifests %v", two)
	}
	r.refused(asResult(r.query(testGroup, &Query_PartManifests{&PartManifestsQuery{Upload: ref, Numbers: []uint32{3}}})), api.InvalidPart)
	for name, change := range map[string]func(*PutPart){
		"number 0":      func(c *PutPart) { c.Number = 0 },
		"number 10,001": func(c *PutPart) { c.Number = 10001 },
		"ETag":          func(c *PutPart) { c.Etag = []byte("short") },
		"manifest":      func(c *PutPart) { c.Manifest = nil },
	} {
		c := partOf(1, 1, 90, 1)
		change(c.PutPart)
		if res := r.do(c); api.KindOf(res.Err(name)) != api.InvalidArgument {
			t.Errorf("%s: %v", name, res)
		}
	}
	c := partOf(1, 1, 90, api.MaxPutSize+1)
	r.refused(r.do(c), api.EntityTooLarge)
}

func TestAbort(t *testing.T) {
	r := uploading(t)
	r.must(r.do(partOf(1, 2, 22, 5)))
	abort := &Command_AbortUpload{&AbortUpload{Bucket: 7, Key: []byte("k"), Upload: vid(1)}}
	r.must(r.do(abort))
	r.refused(r.do(abort), api.NoSuchUpload)
	r.refused(r.do(completionOf()), api.NoSuchUpload)
	r.refused(r.do(&Command_CreateUpload{&CreateUpload{Bucket: 7, Key: []byte("k"), Upload: vid(1)}}), api.UploadExpired)
	a := r.ask(&Query_Garbage{&GarbageQuery{}}).GetGarbage()
	seen := map[uint64]int{}
	for _, g := range a.Garbage {
		seen[g.Streams[0]]++
		if r.owners(vid(1), g.Streams[0])[0] != dead || string(g.Manifest) != "part" {
			t.Errorf("garbage %v", g)
		}
	}
	if fmt.Sprint(seen) != "map[11:1 12:1 15:1 22:1]" {
		t.Fatalf("garbage of streams %v", seen)
	}
	r.must(r.do(&Command_FenceBucket{&FenceBucket{Bucket: 7, Epoch: 1}}))
}

// TestUploadsFolded lists uploads with a delimiter, in pages of every size.
func TestUploadsFolded(t *testing.T) {
	r := newRig(t, Config{})
	for i, key := range []string{"a/1", "a/2", "b", "b", "c/1", "d", "b"} {
		r.must(r.do(&Command_CreateUpload{&CreateUpload{Bucket: 7, Key: []byte(key), Upload: vid(uint64(100 - i))}}))
	}
	want := "a/ b:98 b:97 b:94 c/ d:95 "
	for size := uint32(1); size < 8; size++ {
		var got bytes.Buffer
		q := &UploadsQuery{Bucket: 7, Delimiter: []byte("/"), Max: size}
		for pages := 0; pages < 10; pages++ {
			a := r.ask(&Query_Uploads{q}).GetUploads()
			merge(&got, a)
			if !a.Truncated {
				break
			}
			q.AfterKey, q.AfterUpload = a.NextKey, a.NextUpload
		}
		if got.String() != want {
			t.Errorf("pages of %d: %s", size, &got)
		}
	}
	// A marker that is gone hides nothing.
	a := r.ask(&Query_Uploads{&UploadsQuery{Bucket: 7, AfterKey: []byte("b"), AfterUpload: vid(55), Max: 9}}).GetUploads()
	if len(a.Uploads) != 5 {
		t.Errorf("after an unknown upload: %v", a)
	}
}

// merge prints the uploads and prefixes of a page in order.
func merge(out *bytes.Buffer, a *UploadsAnswer) {
	for len(a.Uploads)+len(a.Prefixes) > 0 {
		if len(a.Uploads) == 0 || len(a.Prefixes) > 0 && bytes.Compare(a.Prefixes[0], a.Uploads[0].Key) < 0 {
			fmt.Fprintf(out, "%s ", a.Prefixes[0])
			a.Prefixes = a.Prefixes[1:]
			continue
		}
		fmt.Fprintf(out, "%s:%d ", a.Uploads[0].Key, a.Uploads[0].Upload[15])
		a.Uploads = a.Uploads[1:]
	}
}
