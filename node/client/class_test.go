package client

import (
	"bytes"
	"io"
	"testing"
	"time"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
)

// profiles gives the profile of each key's chunks; "" where they differ.
func (f *fakeCluster) profiles(t *testing.T, c *Client) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, list := range f.manifests(t, c) {
		for _, v := range list {
			m, err := chunker.ParseManifest(v.GetManifest())
			check(t, err)
			for i := range m.Segments {
				p := erasure.Profile{K: m.Segments[i].K, M: m.Segments[i].M}.String()
				if seen, ok := out[string(v.GetKey())]; ok && seen != p {
					p = ""
				}
				out[string(v.GetKey())] = p
			}
		}
	}
	return out
}

func (f *fakeCluster) wantProfiles(t *testing.T, c *Client, want map[string]string) {
	t.Helper()
	got := f.profiles(t, c)
	for key, p := range want {
		if got[key] != p {
			t.Errorf("%s is coded as %q, want %q", key, got[key], p)
		}
	}
}

func putAs(t *testing.T, c *Client, key string, body []byte, class api.StorageClass) {
	t.Helper()
	_, err := c.Put(t.Context(), &api.PutObject{Bucket: "b", Key: key, Size: int64(len(body)), Body: bytes.NewReader(body), Class: class})
	check(t, err)
}

func copyAs(t *testing.T, c *Client, from, to string, class api.StorageClass) {
	t.Helper()
	_, err := c.Copy(t.Context(), &api.CopyObject{Source: api.ObjectRef{Bucket: "b", Key: from}, Bucket: "b", Key: to, Class: class})
	check(t, err)
}

// uploadAs makes an object of two parts: twice the body, and a copy of the object "standard".
func uploadAs(t *testing.T, c *Client, key string, body []byte, class api.StorageClass) {
	t.Helper()
	id, err := c.CreateUpload(t.Context(), &api.CreateUpload{Bucket: "b", Key: key, Class: class})
	check(t, err)
	ref := api.UploadRef{Bucket: "b", Key: key, UploadID: id}
	first, err := c.PutPart(t.Context(), &api.PutPart{
		UploadRef: ref, Number: 1, Size: int64(2 * len(body)), Body: io.MultiReader(bytes.NewReader(body), bytes.NewReader(body)),
	})
	check(t, err)
	second, err := c.CopyPart(t.Context(), &api.CopyPart{UploadRef: ref, Number: 2, Source: api.ObjectRef{Bucket: "b", Key: "standard"}})
	check(t, err)
	_, err = c.CompleteUpload(t.Context(), &api.CompleteUpload{
		UploadRef: ref, Size: -1, Parts: []api.CompletedPart{{Number: 1, ETag: first.ETag}, {Number: 2, ETag: second.ETag}},
	})
	check(t, err)
}

func wantClass(t *testing.T, c *Client, key string, want api.StorageClass) {
	t.Helper()
	info, err := c.Head(t.Context(), &api.ObjectRef{Bucket: "b", Key: key})
	if check(t, err); info.Class != want {
		t.Errorf("%s is %v, want %v", key, info.Class, want)
	}
}

// What is written as REDUCED_REDUNDANCY is coded so, whichever way it is written. A copy has the class that was
// asked for: where that has another profile it is coded anew, and shares chunks otherwise.
func TestClasses(t *testing.T) {
	bubble(t, 4, 1, erasure.Profile{K: 2, M: 2}, func(t *testing.T, fc *fakeCluster) {
		c := fc.client()
		body := large()
		putAs(t, c, "standard", body, api.StandardClass)
		putAs(t, c, "reduced", body, api.ReducedRedundancy)
		before := len(fc.shards())
		copyAs(t, c, "standard", "standard-copy", api.StandardClass)
		copyAs(t, c, "reduced", "reduced-copy", api.ReducedRedundancy)
		if n := len(fc.shards()); n != before {
			t.Errorf("copies of the same class made %d chunks", n-before)
		}
		copyAs(t, c, "standard", "down", api.ReducedRedundancy)
		copyAs(t, c, "reduced", "up", api.StandardClass)
		copyAs(t, c, "standard-copy", "standard-copy", api.ReducedRedundancy)
		uploadAs(t, c, "parts", body, api.ReducedRedundancy)
		fc.wantProfiles(t, c, map[string]string{
			"standard": "2+2", "reduced": "3+1", "reduced-copy": "3+1", "down": "3+1", "up": "2+2", "standard-copy": "3+1", "parts": "3+1",
		})
		for _, key := range []string{"reduced", "reduced-copy", "down", "standard-copy", "parts"} {
			wantClass(t, c, key, api.ReducedRedundancy)
		}
		fc.node(3).kill()
		for _, key := range []string{"standard", "reduced", "reduced-copy", "down", "up", "standard-copy"} {
			wantBody(t, c, key, body)
		}
		wantBody(t, c, "parts", bytes.Repeat(body, 3))
	})
}

// A version that is transitioned is recoded, keeps its class when the cluster grows, and is coded anew as its
// class then wants it.
func TestTransition(t *testing.T) {
	bubble(t, 6, 1, erasure.Profile{K: 2, M: 2}, func(t *testing.T, fc *fakeCluster) {
		c, stop := fc.running()
		defer stop()
		body := large()
		for _, key := range []string{"moved", "kept"} {
			putAs(t, c, key, body, api.StandardClass)
		}
		putAs(t, c, "small", small, api.StandardClass)
		page, err := c.List(t.Context(), &api.ListObjects{Bucket: "b", Max: 10})
		check(t, err)
		var items []api.TransitionItem
		for i := range page.Objects {
			if o := &page.Objects[i]; o.Key != "kept" {
				items = append(items, api.TransitionItem{Key: o.Key, Modified: o.LastModified})
			}
		}
		items = append(items, api.TransitionItem{Key: "kept", Modified: page.Objects[0].LastModified.Add(1)})
		done, err := c.Transition(t.Context(), "b", api.ReducedRedundancy, items)
		check(t, err)
		if len(done) != 3 || done[0] != nil || done[1] != nil || api.KindOf(done[2]) != api.PreconditionFailed {
			t.Fatalf("outcomes %v", done)
		}
		wantClass(t, c, "moved", api.ReducedRedundancy)
		wantClass(t, c, "small", api.ReducedRedundancy)
		wantClass(t, c, "kept", api.StandardClass)
		check(t, recodeAll(t, fc, c))
		fc.wantProfiles(t, c, map[string]string{"moved": "3+1", "kept": "2+2"})
		if n := fc.dropGarbage(t, c); n != 1 {
			t.Errorf("%d entries of garbage, want 1", n)
		}
		fc.wantShards(t, 4, 4)
		fc.place(erasure.Profile{K: 4, M: 2})
		c.refreshLayout(t.Context())
		check(t, recodeAll(t, fc, c))
		fc.wantProfiles(t, c, map[string]string{"moved": "5+1", "kept": "4+2"})
		fc.dropGarbage(t, c)
		fc.wantShards(t, 4, 6)
		wantClass(t, c, "moved", api.ReducedRedundancy)
		for i := range 6 {
			fc.node(i).kill()
			if i > 0 { // the first keeps the metadata
				wantBody(t, c, "moved", body)
			}
			fc.node(i).revive()
			pass(20 * time.Second) // nodes that failed are avoided for a while
		}
		_, err = c.Transition(t.Context(), "none", api.ReducedRedundancy, items)
		wantKind(t, err, api.NoSuchBucket)
	})
}
