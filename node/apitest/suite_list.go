package apitest

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"

	"shoal/chunker/checksum"
	"shoal/node/api"
)

func testList(r *rig) {
	page, err := r.Objects.List(r.ctx, &api.ListObjects{Bucket: r.bucket, Max: 10})
	if err != nil || len(page.Objects) != 0 || page.Truncated {
		r.Errorf("an empty bucket lists %+v, %v", page, err)
	}
	req := r.putRequest("k", noise(1, 100_000))
	req.Digests, req.Store = checksum.SHA1, checksum.SHA1
	w, err := r.Objects.Put(r.ctx, req)
	if err != nil {
		r.Fatal(err)
	}
	page, err = r.Objects.List(r.ctx, &api.ListObjects{Bucket: r.bucket, Max: 10})
	if err != nil || len(page.Objects) != 1 {
		r.Fatalf("%+v, %v", page, err)
	}
	want := api.ListedObject{Key: "k", Size: 100_000, ETag: w.ETag, LastModified: w.LastModified, Checksum: checksum.SHA1}
	got := page.Objects[0]
	if !got.LastModified.Equal(want.LastModified) {
		r.Errorf("listed at %v, written at %v", got.LastModified, want.LastModified)
	}
	if got.LastModified = want.LastModified; !reflect.DeepEqual(got, want) {
		r.Errorf("listed as %+v, want %+v", got, want)
	}
	tags := []api.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: ""}}
	if _, err := r.Versions.SetTags(r.ctx, &api.ObjectRef{Bucket: r.bucket, Key: "k"}, tags); err != nil {
		r.Fatal(err)
	}
	for _, asked := range []bool{true, false} {
		page, err = r.Objects.List(r.ctx, &api.ListObjects{Bucket: r.bucket, Max: 10, Tags: asked})
		if err != nil || slices.Equal(page.Objects[0].Tags, tags) != asked {
			r.Errorf("listed with tags %v: %+v, %v", asked, page, err)
		}
	}
	page, err = r.Objects.List(r.ctx, &api.ListObjects{Bucket: r.bucket, Max: 0})
	if err != nil || len(page.Objects) != 0 || page.Truncated {
		r.Errorf("nothing wanted: %+v, %v", page, err)
	}
}

// testListModel holds pages against a model that knows nothing of seeking.
func testListModel(r *rig) {
	rng := rand.New(rand.NewPCG(7, 11))
	alphabet := []string{"a", "b", "/", "//", "-", "\x00", "\x01", "é", "\U0010ffff", "z"}
	text := func(most int) string {
		var b strings.Builder
		for range rng.IntN(most + 1) {
			b.WriteString(alphabet[rng.IntN(len(alphabet))])
		}
		return b.String()
	}
	present := make(map[string]bool)
	for range 150 {
		k := text(6) + alphabet[rng.IntN(len(alphabet))]
		present[k] = true
		r.put(k, []byte("x"))
	}
	var keys []string
	for k := range present {
		if rng.IntN(10) == 0 {
			r.remove(k)
			continue
		}
		keys = append(keys, k)
	}
	slices.Sort(keys)
	if got := r.keys(); !slices.Equal(got, keys) {
		r.Fatalf("all keys: %q, want %q", got, keys)
	}
	for range 300 {
		req := api.ListObjects{Bucket: r.bucket, Prefix: text(2), Delimiter: []string{"", "/", "-", "//", "a", "é", "\x00"}[rng.IntN(7)],
			After: text(3), Max: 1 + rng.IntN(12)}
		if rng.IntN(3) == 0 {
			req.After = ""
		}
		walkModel(r, req, modelList(keys, &req))
	}
}

// modelList is what all pages together show: keys, and common prefixes with a mark.
func modelList(keys []string, req *api.ListObjects) []string {
	var out []string
	for _, k := range keys {
		if !strings.HasPrefix(k, req.Prefix) {
			continue
		}
		name, common := rollUp(k, req.Prefix, req.Delimiter)
		if name <= req.After {
			continue
		}
		if common {
			name += " (prefix)"
		}
		if len(out) == 0 || out[len(out)-1] != name {
			out = append(out, name)
		}
	}
	return out
}

// walkModel reads page after page and compares.
func walkModel(r *rig, req api.ListObjects, want []string) {
	r.Helper()
	first := req
	var got []string
	for range len(want) + 2 {
		page, err := r.Objects.List(r.ctx, &req)
		if err != nil {
			r.Fatalf("%+v: %v", req, err)
		}
		shown := merge(page)
		if len(shown) > req.Max || page.Truncated && len(shown) != req.Max {
			r.Fatalf("%+v: a page of %d, truncated %v", req, len(shown), page.Truncated)
		}
		got = append(got, shown...)
		if !page.Truncated {
			break
		}
		if last := strings.TrimSuffix(shown[len(shown)-1], " (prefix)"); page.Next != last {
			r.Fatalf("%+v: next is %q after %q", req, page.Next, last)
		}
		req.After = page.Next
	}
	if !slices.Equal(got, want) {
		r.Fatalf("%+v\n got %q\nwant %q", first, got, want)
	}
}

// merge gives a page's keys and marked prefixes in the order of their names.
func merge(page *api.ListPage) []string {
	var out []string
	for i := range page.Objects {
		out = append(out, page.Objects[i].Key)
	}
	for _, p := range page.CommonPrefixes {
		out = append(out, p+" (prefix)")
	}
	slices.SortFunc(out, func(a, b string) int {
		return strings.Compare(strings.TrimSuffix(a, " (prefix)"), strings.TrimSuffix(b, " (prefix)"))
	})
	return out
}

func testListUploads(r *rig) {
	keys := []string{"a", "b/1", "b/1", "b/1", "b/2", "c", "c", "d/e/f"}
	ids := make(map[string][]string)
	var want []string
	for _, k := range keys {
		id, err := r.Uploads.CreateUpload(r.ctx, &api.CreateUpload{Bucket: r.bucket, Key: k, Initiator: "somebody"})
		if err != nil {
			r.Fatal(err)
		}
		ids[k] = append(ids[k], id)
		want = append(want, k+" "+id)
	}
	for _, size := range []int{1, 2, 3, 8, 9, 1000} {
		if got := r.uploads(api.ListUploads{Bucket: r.bucket, Max: size}); !slices.Equal(got, want) {
			r.Errorf("pages of %d: %v, want %v", size, got, want)
		}
		rolled := []string{want[0], "b/ (prefix)", want[5], want[6], "d/ (prefix)"}
		if got := r.uploads(api.ListUploads{Bucket: r.bucket, Delimiter: "/", Max: size}); !slices.Equal(got, rolled) {
			r.Errorf("pages of %d by /: %v, want %v", size, got, rolled)
		}
		if got := r.uploads(api.ListUploads{Bucket: r.bucket, Prefix: "b/", Delimiter: "/", Max: size}); !slices.Equal(got, want[1:5]) {
			r.Errorf("pages of %d below b/: %v", size, got)
		}
	}
	if got := r.uploads(api.ListUploads{Bucket: r.bucket, AfterKey: "b/1", Max: 10}); !slices.Equal(got, want[4:]) {
		r.Errorf("after a key: %v", got)
	}
	if got := r.uploads(api.ListUploads{Bucket: r.bucket, AfterKey: "b/1", AfterUpload: ids["b/1"][1], Max: 10}); !slices.Equal(got, want[3:]) {
		r.Errorf("after an upload: %v", got)
	}
}

// uploads reads all pages.
func (r *rig) uploads(req api.ListUploads) []string {
	r.Helper()
	var out []string
	for range 100 {
		page, err := r.Uploads.ListUploads(r.ctx, &req)
		if err != nil {
			r.Fatal(err)
		}
		var shown []string
		for _, u := range page.Uploads {
			if u.Initiator != "somebody" || u.Initiated.IsZero() {
				r.Errorf("listed as %+v", u)
			}
			shown = append(shown, u.Key+" "+u.UploadID)
		}
		for _, p := range page.CommonPrefixes {
			shown = append(shown, p+" (prefix)")
		}
		slices.SortStableFunc(shown, func(a, b string) int {
			ka, _, _ := strings.Cut(a, " ")
			kb, _, _ := strings.Cut(b, " ")
			return strings.Compare(ka, kb)
		})
		out = append(out, shown...)
		if !page.Truncated {
			return out
		}
		req.AfterKey, req.AfterUpload = page.NextKey, page.NextUpload
	}
	r.Fatal(fmt.Sprint("pages without end: ", out))
	return nil
}
