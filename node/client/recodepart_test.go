package client

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/shardstore"
)

// openParts is an upload that a test has begun.
type openParts struct {
	ref   api.UploadRef
	parts []api.CompletedPart
	body  []byte
}

func beginUpload(t *testing.T, c *Client) *openParts {
	t.Helper()
	id, err := c.CreateUpload(t.Context(), &api.CreateUpload{Bucket: "b", Key: "up"})
	check(t, err)
	return &openParts{ref: api.UploadRef{Bucket: "b", Key: "up", UploadID: id}}
}

// put uploads a part of two chunks. One of a number that there is takes its place.
func (u *openParts) put(t *testing.T, c *Client, number int) {
	t.Helper()
	body := bytes.Repeat([]byte{byte('a' + number)}, api.MinPartSize+number)
	p, err := c.PutPart(t.Context(), &api.PutPart{UploadRef: u.ref, Number: number, Size: int64(len(body)), Body: bytes.NewReader(body)})
	check(t, err)
	if number > len(u.parts) {
		u.parts = append(u.parts, api.CompletedPart{Number: number, ETag: p.ETag})
		u.body = append(u.body, body...)
	}
}

func (u *openParts) complete(t *testing.T, c *Client) error {
	t.Helper()
	_, err := c.CompleteUpload(t.Context(), &api.CompleteUpload{UploadRef: u.ref, Parts: u.parts, Size: -1})
	return err
}

// parts lists the parts of open uploads of all groups.
func (f *fakeCluster) parts(t *testing.T, c *Client) (out []foundPart) {
	t.Helper()
	for g := consensus.GroupID(1); g <= fakePartitions; g++ {
		a, err := c.PartManifests(t.Context(), g, nil, 0, 100)
		check(t, err)
		for _, v := range a.GetManifests() {
			out = append(out, foundPart{g, v})
		}
	}
	return out
}

type foundPart struct {
	g consensus.GroupID
	v *meta.VersionManifest
}

func (p foundPart) recode(t *testing.T, c *Client, want bool) {
	t.Helper()
	if done, err := c.Recode(t.Context(), p.g, p.v); err != nil || done != want {
		t.Errorf("part %d: recoded %v, %v; want %v", p.v.GetPart(), done, err, want)
	}
}

// settleDrops waits for what is given back behind an operation, and drops what is dead.
func (f *fakeCluster) settleDrops(t *testing.T, c *Client) {
	t.Helper()
	pass(time.Second)
	synctest.Wait()
	f.dropGarbage(t, c)
}

// recoding2 begins with an upload of two parts in 2+1, of two chunks each, and a client that knows that 2+2 is due.
func recoding2(t *testing.T, f func(t *testing.T, fc *fakeCluster, c *Client, u *openParts)) {
	bubble(t, 4, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
		c, stop := fc.running()
		defer stop()
		u := beginUpload(t, c)
		u.put(t, c, 1)
		u.put(t, c, 2)
		fc.place(erasure.Profile{K: 2, M: 2})
		c.refreshLayout(t.Context())
		f(t, fc, c, u)
	})
}

// Recoding gives a part other shards and changes nothing that a client sees.
func TestRecodeParts(t *testing.T) {
	recoding2(t, func(t *testing.T, fc *fakeCluster, c *Client, u *openParts) {
		copied := make([]byte, api.MinPartSize)
		check(t, put(t, c, "source", copied, api.Condition{}))
		p, err := c.CopyPart(t.Context(), &api.CopyPart{UploadRef: u.ref, Number: 3, Source: api.ObjectRef{Bucket: "b", Key: "source"}})
		check(t, err)
		u.parts, u.body = append(u.parts, api.CompletedPart{Number: 3, ETag: p.ETag}), append(u.body, copied...)
		before, err := c.ListParts(t.Context(), &api.ListParts{UploadRef: u.ref, Max: 10})
		check(t, err)
		for range 2 { // the second finds nothing to do
			for _, p := range fc.parts(t, c) {
				p.recode(t, c, true)
			}
		}
		if n := fc.dropGarbage(t, c); n != 2 { // the copy is of the new profile already
			t.Errorf("%d entries of garbage, want 2", n)
		}
		fc.wantShards(t, 6, 4)
		after, err := c.ListParts(t.Context(), &api.ListParts{UploadRef: u.ref, Max: 10})
		check(t, err)
		if len(after.Parts) != len(before.Parts) {
			t.Fatalf("parts %v, before %v", after.Parts, before.Parts)
		}
		for i := range after.Parts {
			if after.Parts[i] != before.Parts[i] {
				t.Errorf("a part is %v and was %v", after.Parts[i], before.Parts[i])
			}
		}
		check(t, u.complete(t, c))
		fc.settleDrops(t, c)
		wantBody(t, c, "up", u.body)
		fc.wantShards(t, 6, 4)
		check(t, recodeAll(t, fc, c)) // all is right already
		for _, key := range []string{"up", "source"} {
			_, err = c.Delete(t.Context(), &api.DeleteObject{Bucket: "b", DeleteItem: api.DeleteItem{Key: key}})
			check(t, err)
		}
		fc.settleDrops(t, c)
		fc.wantShards(t, 0, 0)
	})
}

// A part is recoded just before its object is made: the completion reads the parts again and succeeds, and meanwhile no other part is
// recoded.
func TestCompleteOfRecodedParts(t *testing.T) {
	recoding2(t, func(t *testing.T, fc *fakeCluster, c *Client, u *openParts) {
		found, tries := fc.parts(t, c), 0
		fc.node(0).before = func(cmd *meta.Command) {
			if cmd.GetCompleteUpload() == nil {
				return
			}
			found[tries%2].recode(t, c, tries == 0) // the second is held
			tries++
		}
		check(t, u.complete(t, c))
		if tries != 2 {
			t.Errorf("%d tries", tries)
		}
		fc.settleDrops(t, c)
		wantBody(t, c, "up", u.body)
		fc.wantShards(t, 4, 3)
		check(t, recodeAll(t, fc, c)) // of the part that was not recoded, the object's chunks
		fc.settleDrops(t, c)
		fc.wantShards(t, 4, 4)
		wantBody(t, c, "up", u.body)
	})
}

// A client that replaces parts as fast as they are completed gets a conflict, and its upload stays open.
func TestCompleteOfReplacedParts(t *testing.T) {
	recoding2(t, func(t *testing.T, fc *fakeCluster, c *Client, u *openParts) {
		tries := 0
		fc.node(0).before = func(cmd *meta.Command) {
			if cmd.GetCompleteUpload() != nil {
				tries++
				u.put(t, c, 1)
			}
		}
		wantKind(t, u.complete(t, c), api.ConditionalConflict)
		fc.node(0).before = nil
		if tries != completeAttempts {
			t.Errorf("%d tries, want %d", tries, completeAttempts)
		}
		check(t, u.complete(t, c))
		fc.settleDrops(t, c)
		wantBody(t, c, "up", u.body)
		fc.wantShards(t, 4, 3)
	})
}

// What happens to the upload while a part of it is being recoded is not undone, and nothing is left of what was written for nothing.
func TestRecodePartOvertaken(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(t *testing.T, c *Client, u *openParts)
		chunks  int // that are left
	}{
		"completed": {func(t *testing.T, c *Client, u *openParts) { check(t, u.complete(t, c)) }, 4},
		"aborted":   {func(t *testing.T, c *Client, u *openParts) { check(t, c.AbortUpload(t.Context(), u.ref)) }, 0},
		"replaced":  {func(t *testing.T, c *Client, u *openParts) { u.put(t, c, 1) }, 4},
	} {
		t.Run(name, func(t *testing.T) {
			recoding2(t, func(t *testing.T, fc *fakeCluster, cl *Client, u *openParts) {
				found, happened := fc.parts(t, cl), false
				fc.node(0).before = func(cmd *meta.Command) {
					if cmd.GetRecodePart() != nil && !happened {
						happened = true
						c.happens(t, cl, u)
					}
				}
				found[0].recode(t, cl, false)
				if !happened {
					t.Fatal("nothing was recoded")
				}
				fc.settleDrops(t, cl)
				fc.wantShards(t, c.chunks, 3)
				before := fc.kept()
				if name != "replaced" {
					found[1].recode(t, cl, false) // is gone too, and costs no shard
				}
				if after := fc.kept(); len(after) != len(before) {
					t.Errorf("%d shards, %d before", len(after), len(before))
				}
				if name == "replaced" {
					check(t, u.complete(t, cl))
				}
				if name != "aborted" {
					wantBody(t, cl, "up", u.body)
				}
			})
		})
	}
}

// Two recode the same part: one of them is the first, and nothing is left of the other.
func TestRecodePartTwice(t *testing.T) {
	recoding2(t, func(t *testing.T, fc *fakeCluster, c *Client, u *openParts) {
		found, inner := fc.parts(t, c)[0], false
		fc.node(0).before = func(cmd *meta.Command) {
			if cmd.GetRecodePart() != nil && !inner {
				inner = true
				found.recode(t, c, true)
			}
		}
		found.recode(t, c, false)
		fc.settleDrops(t, c)
		fc.wantShards(t, 4, 3)
		owners := make(map[shardstore.Owner]bool)
		for _, s := range fc.kept() {
			for _, o := range s.owners {
				owners[o] = true
			}
		}
		if len(owners) != 2 {
			t.Errorf("shards have %d owners, want those of two parts", len(owners))
		}
		check(t, u.complete(t, c))
		wantBody(t, c, "up", u.body)
	})
}

// A recoding that fails gives back what it wrote; one whose answer is lost keeps what it made.
func TestRecodePartFails(t *testing.T) {
	recoding2(t, func(t *testing.T, fc *fakeCluster, c *Client, u *openParts) {
		before := fc.shards()
		for i := range 3 {
			fc.node(i + 1).fill()
		}
		for _, p := range fc.parts(t, c) {
			if done, err := c.Recode(t.Context(), p.g, p.v); done || err == nil {
				t.Errorf("recoded %v, %v, with too few drives", done, err)
			}
		}
		fc.settleDrops(t, c)
		if after := fc.shards(); len(after) != len(before) {
			t.Errorf("%d chunks after, %d before", len(after), len(before))
		}
	})
	recoding2(t, func(t *testing.T, fc *fakeCluster, c *Client, u *openParts) {
		synctest.Wait() // what the client does beside asks the node, too
		fc.node(0).lose = func(cmd *meta.Command) bool { return cmd.GetRecodePart() != nil }
		for _, p := range fc.parts(t, c) {
			_, _ = c.Recode(t.Context(), p.g, p.v)
		}
		synctest.Wait()
		fc.node(0).lose = nil
		fc.settleDrops(t, c)
		fc.wantShards(t, 4, 4)
		check(t, u.complete(t, c))
		wantBody(t, c, "up", u.body)
	})
}
