package node

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"shoal/node/api"
)

// TestOpenUploadGrows lets a store of one drive grow to four around an upload that stays open. Its parts are coded anew each time, as
// objects are; what is completed in the end is of the present profile, and reads as it was written.
func TestOpenUploadGrows(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for several placements")
	}
	dir := t.TempDir()
	drives := driveDirs(dir, 4)
	data := filepath.Join(dir, "data")
	n := start(t, Config{DataDir: data, Drives: drives[:1]})
	if _, err := n.Store().CreateBucket(t.Context(), api.CreateBucket{Name: "b", Owner: "root"}); err != nil {
		t.Fatal(err)
	}
	id, err := n.Store().CreateUpload(t.Context(), &api.CreateUpload{Bucket: "b", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	ref := api.UploadRef{Bucket: "b", Key: "k", UploadID: id}
	complete := &api.CompleteUpload{UploadRef: ref, Size: -1}
	var want []byte
	part := func() {
		t.Helper()
		number := len(complete.Parts) + 1
		body := pattern(uint64(number), 5<<20+number)
		p, err := n.Store().PutPart(t.Context(), &api.PutPart{UploadRef: ref, Number: number, Size: int64(len(body)), Body: bytes.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		complete.Parts = append(complete.Parts, api.CompletedPart{Number: number, ETag: p.ETag})
		want = append(want, body...)
	}
	grown := func(count int, profile string, width int) {
		t.Helper()
		n.stop()
		n = start(t, Config{DataDir: data, Drives: drives[:count]})
		within(t, 2*time.Minute, func() error { return settled(t, n, profile, count, width) })
	}
	part()
	part()
	grown(2, "1+1", 2)
	part()
	grown(4, "2+2", 4)
	if _, err := n.Store().CompleteUpload(t.Context(), complete); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(get(t, n.Store(), "b", "k"), want) {
		t.Error("the object is not what its parts were")
	}
	within(t, 2*time.Minute, func() error {
		d, err := n.Store().Durability(t.Context(), api.DurabilityQuery{})
		if err == nil && (d.Stripes != 6 || len(d.Profiles) != 1 || d.Profiles[0].Profile != "2+2") {
			err = fmt.Errorf("%d stripes are coded as %v, want 6 of 2+2", d.Stripes, d.Profiles)
		}
		return err
	})
}
