package client

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/p2p"
	"shoal/p2p/placement"
)

// settle makes the last two nodes a site with groups and a placement of its own.
func (f *fakeCluster) settle(site string) {
	f.t.Helper()
	in := f.ids[len(f.ids)-2:]
	for _, id := range in {
		f.must(0, &meta.Command{Op: &meta.Command_PutMember{PutMember: &meta.PutMember{Member: &meta.Member{
			PeerId: string(id), Serial: 1, Site: site, Roles: []string{"node"},
		}}}})
	}
	l := *f.layout
	l.Epoch, l.GroupsVersion, l.Bound = l.Epoch+1, l.GroupsVersion+1, make(map[consensus.GroupID]string)
	f.must(0, &meta.Command{Op: &meta.Command_PrepareSite{PrepareSite: &meta.PrepareSite{Site: site}}})
	for g := consensus.GroupID(fakePartitions + 1); g <= fakePartitions+meta.SiteGroups; g++ {
		for _, step := range []meta.FoundGroup_Step{meta.FoundGroup_NAME, meta.FoundGroup_CONFIRM} {
			f.must(0, &meta.Command{Op: &meta.Command_FoundGroup{FoundGroup: &meta.FoundGroup{Group: uint32(g), Founder: string(in[0]), Step: step}}})
		}
		l.Bound[g], l.Groups[g] = site, in
		f.leaders[g] = in[0]
	}
	var drives []placement.Drive
	for _, id := range in {
		drives = append(drives, placement.Drive{ID: placement.DriveID(f.nodes[id].order[0]), Node: string(id), Site: site, Weight: 1})
	}
	table, err := placement.Build(l.Epoch, drives, 2, nil, placement.Limits{})
	if err != nil {
		f.t.Fatal(err)
	}
	l.Sites = []peer.SiteTables{{Site: site, Profile: erasure.Profile{K: 1, M: 1}, Table: table}}
	l.Divide()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.layout = &l
}

// chunksOn lists the chunks of which nodes have shards.
func (f *fakeCluster) chunksOn(ids ...p2p.NodeID) map[chunker.ChunkID]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[chunker.ChunkID]bool)
	for _, id := range ids {
		for _, d := range f.nodes[id].drives {
			for s := range d.shards {
				out[s.Chunk] = true
			}
		}
	}
	return out
}

func putIn(t *testing.T, c *Client, bucket, key string, body []byte) error {
	t.Helper()
	_, err := c.Put(t.Context(), &api.PutObject{Bucket: bucket, Key: key, Size: int64(len(body)), Body: bytes.NewReader(body)})
	return err
}

func wantIn(t *testing.T, c *Client, bucket, key string, want []byte) {
	t.Helper()
	o, err := c.Open(t.Context(), &api.ObjectRef{Bucket: bucket, Key: key})
	check(t, err)
	defer o.Close()
	var out bytes.Buffer
	check(t, o.WriteRange(t.Context(), &out, 0, o.Info().Size))
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("%s/%s holds %d other bytes", bucket, key, out.Len())
	}
}

// What a bucket of a site holds lies in that site, whether it was written or copied there; what is
// copied out of it does not.
func TestBoundBucket(t *testing.T) {
	bubble(t, 5, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
		c := fc.client()
		check(t, put(t, c, "k", large(), api.Condition{}))
		wide := fc.chunksOn(fc.ids...)
		_, err := c.CreateBucket(t.Context(), api.CreateBucket{Name: "bound", Owner: "me", Location: "edge", Site: "edge"})
		wantKind(t, err, api.NoSuchSite)
		fc.settle("edge")
		info, err := c.CreateBucket(t.Context(), api.CreateBucket{Name: "bound", Owner: "me", Location: "edge", Site: "edge"})
		if check(t, err); info.Location != "edge" {
			t.Errorf("made %+v", info)
		}
		check(t, putIn(t, c, "bound", "own", large()))
		_, err = c.Copy(t.Context(), &api.CopyObject{Source: api.ObjectRef{Bucket: "b", Key: "k"}, Bucket: "bound", Key: "copy"})
		check(t, err)
		_, err = c.Copy(t.Context(), &api.CopyObject{Source: api.ObjectRef{Bucket: "bound", Key: "own"}, Bucket: "bound", Key: "own-copy"})
		check(t, err)
		upload, err := c.CreateUpload(t.Context(), &api.CreateUpload{Bucket: "bound", Key: "parts"})
		check(t, err)
		part, err := c.CopyPart(t.Context(), &api.CopyPart{
			UploadRef: api.UploadRef{Bucket: "bound", Key: "parts", UploadID: upload}, Number: 1, Source: api.ObjectRef{Bucket: "b", Key: "k"}, Ranged: true, Off: 10, Length: 3 << 20,
		})
		check(t, err)
		_, err = c.CompleteUpload(t.Context(), &api.CompleteUpload{
			UploadRef: api.UploadRef{Bucket: "bound", Key: "parts", UploadID: upload}, Size: -1, Parts: []api.CompletedPart{{Number: 1, ETag: part.ETag}},
		})
		check(t, err)
		for key, want := range map[string][]byte{"own": large(), "copy": large(), "own-copy": large(), "parts": large()[10 : 10+3<<20]} {
			wantIn(t, c, "bound", key, want)
		}
		for id := range fc.chunksOn(fc.ids[:3]...) {
			if !wide[id] {
				t.Errorf("chunk %v of the site lies outside", id)
			}
		}
		before := len(fc.chunksOn(fc.ids...))
		_, err = c.Copy(t.Context(), &api.CopyObject{Source: api.ObjectRef{Bucket: "bound", Key: "own"}, Bucket: "b", Key: "out"})
		check(t, err)
		wantBody(t, c, "out", large())
		if len(fc.chunksOn(fc.ids...)) == before {
			t.Error("a copy out of the site shares its chunks")
		}
	})
}

// patient is a cluster whose nodes are gone once they have been looked up so many times.
type patient struct {
	*fakeCluster
	lookups int
}

func (p *patient) Node(id p2p.NodeID) peer.Node {
	if p.lookups--; p.lookups < 0 {
		return nil
	}
	return p.fakeCluster.Node(id)
}

// Buckets that were half made, a whole page of them, do not hide those after them.
func TestFetchBoundPastHalfMade(t *testing.T) {
	fc := newFakeCluster(t, 5, 1, erasure.Profile{K: 2, M: 1})
	defer fc.close()
	fc.settle("edge")
	create := func(name string, locks bool) {
		fc.must(0, &meta.Command{Op: &meta.Command_CreateBucket{CreateBucket: &meta.CreateBucket{
			Name: name, Owner: "me", Location: "edge", Site: "edge", ObjectLock: locks,
		}}})
	}
	for i := range boundPage {
		create(fmt.Sprintf("half-made-%04d", i), true)
	}
	create("made", false)
	c := New(Config{Directory: &patient{fc, 100}, StaleCredentials: time.Hour})
	c.refreshLayout(t.Context())
	check(t, c.fetchBound(t.Context()))
	if c.buckets.get("made") == nil {
		t.Error("a bucket is not known")
	}
	if c.buckets.get("half-made-0000") != nil {
		t.Error("a bucket that was half made is taken for a whole one")
	}
}

// A probe that finds the queue of tasks full is made again with the next use of a credential.
func TestProbeBesideFullQueue(t *testing.T) {
	bubble(t, 1, 1, erasure.Profile{K: 1}, func(t *testing.T, fc *fakeCluster) {
		c := fc.client()
		for c.later(func(context.Context) error { return nil }) {
		}
		c.probe("AK")
		c.identity.spare(time.Now())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.runTasks(ctx)
		}()
		synctest.Wait() // until all tasks are done
		if !c.identity.cutOff() {
			t.Fatal("the premise: a probe was made though the queue was full")
		}
		c.probe("AK")
		synctest.Wait()
		if c.identity.cutOff() {
			t.Error("no probe is made any more")
		}
		cancel()
		<-done
	})
}

// A site that is cut off serves its buckets, to those whose keys it knows, and no others.
func TestSiteCutOff(t *testing.T) {
	bubble(t, 5, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
		fc.settle("edge")
		fc.client() // makes the bucket b
		c := New(Config{Directory: fc, StaleCredentials: time.Hour})
		check(t, put(t, c, "k", large(), api.Condition{}))
		_, err := c.CreateBucket(t.Context(), api.CreateBucket{Name: "bound", Owner: "me", Location: "edge", Site: "edge"})
		check(t, err)
		check(t, putIn(t, c, "bound", "k", large()))
		login := func() {
			t.Helper()
			_, err := c.Credential(t.Context(), "AK")
			check(t, err)
		}
		login()
		fresh := New(Config{Directory: fc, StaleCredentials: time.Hour})
		fresh.refreshLayout(t.Context())
		_, err = fresh.Credential(t.Context(), "AK")
		check(t, err)
		for _, id := range fc.ids[:3] {
			fc.nodes[id].kill()
		}
		pass(10 * time.Minute)
		for _, c := range []*Client{c, fresh} { // also one that never used the bucket
			_, err := c.Credential(t.Context(), "AK")
			check(t, err)
			begun := time.Now()
			wantIn(t, c, "bound", "k", large())
			check(t, putIn(t, c, "bound", "k2", large()))
			check(t, putIn(t, c, "bound", "small", small))
			page, err := c.List(t.Context(), &api.ListObjects{Bucket: "bound", Max: 10})
			if check(t, err); len(page.Objects) != 3 {
				t.Errorf("listed %+v", page)
			}
			_, err = c.HeadBucket(t.Context(), "bound")
			check(t, err)
			_, err = c.Delete(t.Context(), &api.DeleteObject{Bucket: "bound", DeleteItem: api.DeleteItem{Key: "k2"}})
			check(t, err)
			_, err = c.Credential(t.Context(), "AK")
			check(t, err)
			if took := time.Since(begun); took > 0 {
				t.Errorf("took %v", took)
			}
			if age := c.IdentityAge(); age < 10*time.Minute || age > 11*time.Minute {
				t.Errorf("the identities are %v old", age)
			}
		}
		wantKind(t, put(t, c, "k", small, api.Condition{}), api.Unavailable)
		_, err = fresh.Open(t.Context(), &api.ObjectRef{Bucket: "b", Key: "k"})
		wantKind(t, err, api.Unavailable)
		pass(time.Hour)
		_, err = c.Credential(t.Context(), "AK")
		wantKind(t, err, api.Unavailable)
		for _, id := range fc.ids[:3] {
			fc.nodes[id].revive()
		}
		pass(20 * time.Second) // nodes that failed are avoided for a while
		login()
		wantBody(t, c, "k", large())
		if c.IdentityAge() != 0 {
			t.Error("the identities are still old")
		}
	})
}
