package meta

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"shoal/node/api"
)

// partRecoded moves a part of upload 1 from the manifest it has into a stream.
func partRecoded(number uint32, old string, stream uint64) *Command_RecodePart {
	sum := sha256.Sum256([]byte(old))
	return &Command_RecodePart{&RecodePart{Upload: vid(1), Number: number, OldDigest: sum[:], Manifest: fmt.Appendf(nil, "recoded %d", stream), Stream: stream}}
}

// listed gives the parts of open uploads, as those who recode and verify see them.
func (r *rig) listed() (out []string) {
	r.t.Helper()
	for _, m := range r.ask(&Query_Manifests{&ManifestsQuery{Parts: true}}).GetManifests().Manifests {
		out = append(out, fmt.Sprintf("%d of %x in %d %s: %s, class %d, held %v", m.Part, m.Version[15:], m.Bucket, m.Key, m.Manifest, m.StorageClass, m.Held))
	}
	return out
}

// manifestOfPart is what a part of upload 1 is made of now.
func (r *rig) manifestOfPart(number uint32) string {
	r.t.Helper()
	a := r.ask(&Query_Manifests{&ManifestsQuery{Parts: true, After: vid(1), AfterPart: number - 1, Max: 1}}).GetManifests()
	if len(a.Manifests) != 1 || a.Manifests[0].Part != number || !bytes.Equal(a.Manifests[0].Version, vid(1)) {
		r.t.Fatalf("part %d: %v", number, a)
	}
	return string(a.Manifests[0].Manifest)
}

// TestRecodePart: the new shards live from the command on, and the old ones until then; they are garbage under the manifest that named
// them. Nothing else of the part changes.
func TestRecodePart(t *testing.T) {
	r := uploading(t)
	ref := &UploadQuery{Bucket: 7, Key: []byte("k"), Upload: vid(1)}
	before := r.ask(&Query_Parts{&PartsQuery{Upload: ref, Max: 10}}).GetParts().Parts[0]
	states := func(want ...OwnerState) {
		t.Helper()
		for i, s := range r.owners(vid(1), 11, 12, 21, 22) {
			if s != want[i] {
				t.Fatalf("stream %d of 11, 12, 21, 22: %v, want %v", i, s, want[i])
			}
		}
	}
	first := r.manifestOfPart(1)
	states(live, live, unknown, unknown)
	r.must(r.do(partRecoded(1, first, 21)))
	states(dead, live, live, unknown)
	after := r.ask(&Query_Parts{&PartsQuery{Upload: ref, Max: 10}}).GetParts().Parts[0]
	if after.Stream != 21 || after.Mtime != before.Mtime || !bytes.Equal(after.Etag, before.Etag) || after.Size != before.Size || !bytes.Equal(after.ChecksumValue, before.ChecksumValue) {
		t.Errorf("the part was %v and is %v", before, after)
	}
	g := r.ask(&Query_Garbage{&GarbageQuery{}}).GetGarbage().Garbage
	if len(g) != 1 || string(g[0].Manifest) != first || len(g[0].Streams) != 1 || g[0].Streams[0] != 11 || !g[0].Part {
		t.Fatalf("garbage %v", g)
	}

	// Compare and set: whoever comes second finds another manifest, and what he wrote never lived.
	r.refused(r.do(partRecoded(1, first, 22)), api.ConditionalConflict)
	states(dead, live, live, unknown)
	// Twice, and the upload's own command is still known for what it was.
	r.must(r.do(partRecoded(1, "recoded 21", 22)))
	if at := r.must(r.do(partOf(1, 1, 11, api.MinPartSize))).GetPart().GetMtime(); at != before.Mtime {
		t.Errorf("the repeat says %d, want %d", at, before.Mtime)
	}
	states(dead, live, dead, live)

	// A part that is replaced takes what it was recoded to with it.
	r.must(r.do(partOf(1, 1, 31, api.MinPartSize)))
	states(dead, live, dead, dead)
	r.refused(r.do(partRecoded(1, "recoded 22", 41)), api.ConditionalConflict)
	if g := r.ask(&Query_Garbage{&GarbageQuery{}}).GetGarbage().Garbage; len(g) != 3 {
		t.Fatalf("garbage %v", g)
	}
}

func TestRecodePartRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*RecodePart)
		want   api.Kind
	}{
		{"malformed upload ID", func(c *RecodePart) { c.Upload = c.Upload[:3] }, api.InvalidArgument},
		{"number 0", func(c *RecodePart) { c.Number = 0 }, api.InvalidArgument},
		{"number above the last", func(c *RecodePart) { c.Number = api.MaxPartNumber + 1 }, api.InvalidArgument},
		{"no digest", func(c *RecodePart) { c.OldDigest = nil }, api.InvalidArgument},
		{"no manifest", func(c *RecodePart) { c.Manifest = nil }, api.InvalidArgument},
		{"long manifest", func(c *RecodePart) { c.Manifest = make([]byte, MaxManifestBytes+1) }, api.InvalidArgument},
		{"no such upload", func(c *RecodePart) { c.Upload = vid(9) }, api.NoSuchUpload},
		{"no such part", func(c *RecodePart) { c.Number = 3 }, api.ConditionalConflict},
		{"another manifest", func(c *RecodePart) { c.OldDigest = make([]byte, sha256.Size) }, api.ConditionalConflict},
		{"its own stream", func(c *RecodePart) { c.Stream = 11 }, api.InvalidArgument},
		{"the stream of another part", func(c *RecodePart) { c.Stream = 12 }, api.InvalidArgument},
		{"a stream that was condemned", func(c *RecodePart) { c.Stream = 77 }, api.UploadExpired},
		{"a stream of garbage", func(c *RecodePart) { c.Stream = 16 }, api.UploadExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := uploading(t)
			r.must(r.do(partOf(1, 6, 16, 4)))
			r.must(r.do(partOf(1, 6, 17, 4)))
			r.must(r.do(&Command_Condemn{&Condemn{Owners: []*StreamOwner{{Version: vid(1), Stream: 77}}}}))
			r.now += 2 * int64(retiredTTL)
			cmd := partRecoded(1, r.manifestOfPart(1), 21)
			c.change(cmd.RecodePart)
			before := r.listed()
			r.refused(r.do(cmd), c.want)
			if after := r.listed(); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("parts were %v and are %v", before, after)
			}
		})
	}
}

// TestRecodePartOfEnded: an upload that was aborted or completed takes no recoded part, and a completion that has read a part before it
// was recoded makes no version of it. Parts are held then, until the next try or for two minutes.
func TestRecodePartOfEnded(t *testing.T) {
	t.Run("aborted", func(t *testing.T) {
		r := uploading(t)
		first := r.manifestOfPart(1)
		r.must(r.do(partRecoded(2, r.manifestOfPart(2), 22)))
		r.must(r.do(&Command_AbortUpload{&AbortUpload{Bucket: 7, Key: []byte("k"), Upload: vid(1)}}))
		r.refused(r.do(partRecoded(1, first, 21)), api.NoSuchUpload)
		for i, s := range r.owners(vid(1), 11, 12, 15, 21, 22) {
			if s != dead {
				t.Errorf("stream %d of 11, 12, 15, 21, 22: %v", i, s)
			}
		}
		if g := r.ask(&Query_Garbage{&GarbageQuery{}}).GetGarbage().Garbage; len(g) != 4 { // and the one that was recoded
			t.Errorf("garbage %v", g)
		}
	})
	t.Run("completed", func(t *testing.T) {
		r := uploading(t)
		first := r.manifestOfPart(1)
		r.must(r.do(completionOf()))
		r.refused(r.do(partRecoded(1, first, 21)), api.NoSuchUpload)
		for i, want := range []OwnerState{live, live, dead, dead} {
			if got := r.owners(vid(1), 11, 12, 15, 21)[i]; got != want {
				t.Errorf("stream %d of 11, 12, 15, 21: %v, want %v", i, got, want)
			}
		}
	})
	t.Run("recoded first", func(t *testing.T) {
		r := uploading(t)
		second := r.manifestOfPart(2)
		r.must(r.do(partRecoded(1, r.manifestOfPart(1), 21)))
		r.refused(r.do(completionOf()), api.ConditionalConflict)
		if got := r.listed(); len(got) != 3 || got[0] != "1 of 01 in 7 k: recoded 21, class 0, held true" {
			t.Errorf("parts %q", got)
		}
		r.refused(r.do(partRecoded(2, second, 22)), api.ConditionalConflict) // held
		r.must(r.do(completionOf(func(c *CompleteUpload) { c.Parts[0].Stream = 21 })))
		for i, want := range []OwnerState{dead, live, live} {
			if got := r.owners(vid(1), 11, 12, 21)[i]; got != want {
				t.Errorf("stream %d of 11, 12, 21: %v, want %v", i, got, want)
			}
		}
		if got := r.listed(); len(got) != 0 {
			t.Errorf("parts %q", got)
		}
	})
	t.Run("held for two minutes", func(t *testing.T) {
		r := uploading(t)
		r.refused(r.do(completionOf(func(c *CompleteUpload) { c.Parts[0].Stream = 99 })), api.ConditionalConflict)
		for _, tc := range []struct {
			now  int64 // of who lists them: nothing is written meanwhile
			held bool
		}{{0, true}, {r.now, true}, {r.now + int64(holdTime) - int64(time.Second), true}, {r.now + int64(holdTime) + int64(time.Second), false}} {
			if m := r.ask(&Query_Manifests{&ManifestsQuery{Parts: true, Max: 1, Now: tc.now}}).GetManifests().Manifests[0]; m.Held != tc.held {
				t.Errorf("at %d held %v, want %v", tc.now, m.Held, tc.held)
			}
		}
		r.now += int64(holdTime) - 2*int64(time.Second)
		r.refused(r.do(partRecoded(1, r.manifestOfPart(1), 21)), api.ConditionalConflict)
		r.must(r.do(partRecoded(1, r.manifestOfPart(1), 21)))
	})
}

// TestPartPages lists the parts of several uploads page by page.
func TestPartPages(t *testing.T) {
	r := uploading(t)
	r.must(r.do(object("o", 3, sharded(4))))
	r.must(r.do(&Command_CreateUpload{&CreateUpload{Bucket: 8, Key: []byte("l"), Upload: vid(2), StorageClass: 1}}))
	r.must(r.do(&Command_CreateUpload{&CreateUpload{Bucket: 8, Key: []byte("l"), Upload: vid(4)}}))
	r.must(r.do(&Command_PutPart{&PutPart{Bucket: 8, Key: []byte("l"), Upload: vid(2), Number: api.MaxPartNumber, Stream: 1, Size: 1, Etag: md5Of("md5"), Manifest: []byte("last")}}))
	r.must(r.do(&Command_PutPart{&PutPart{Bucket: 8, Key: []byte("l"), Upload: vid(4), Number: 1, Stream: 1, Size: 1, Etag: md5Of("md5"), Manifest: []byte("alone")}}))
	var got []string
	q := &ManifestsQuery{Parts: true, Max: 2}
	for {
		a := r.ask(&Query_Manifests{q}).GetManifests()
		for _, m := range a.Manifests {
			got = append(got, fmt.Sprintf("%x/%d %d %s %d", m.Version[15:], m.Part, m.Bucket, m.Key, m.StorageClass))
			q.After, q.AfterPart = m.Version, m.Part
		}
		if !a.Truncated {
			break
		}
	}
	if want := "[01/1 7 k 0 01/2 7 k 0 01/5 7 k 0 02/10000 8 l 1 04/1 8 l 0]"; fmt.Sprint(got) != want {
		t.Errorf("parts %v, want %s", got, want)
	}
	if a := r.ask(&Query_Manifests{&ManifestsQuery{Parts: true, MaxBytes: 1}}).GetManifests(); len(a.Manifests) != 1 || !a.Truncated {
		t.Errorf("a page of one byte: %v", a)
	}
}

// TestGoldenRecodedPart pins the records of a part that was recoded and of an upload that is held.
func TestGoldenRecodedPart(t *testing.T) {
	r := uploading(t)
	r.must(r.do(partRecoded(1, r.manifestOfPart(1), 21)))
	r.refused(r.do(completionOf()), api.ConditionalConflict)
	golden(t, "recodedparts-v1.golden", r.dump(testGroup))
}
