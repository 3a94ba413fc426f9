package client

import (
	"bytes"
	"io"
	"testing"
	"time"

	"shoal/chunker/erasure"
	"shoal/node/api"
)

// trickle is a body whose last byte comes late.
type trickle struct {
	io.Reader
	wait time.Duration
}

func (r *trickle) Read(p []byte) (int, error) {
	<-time.After(r.wait)
	r.wait = 0
	return r.Reader.Read(p)
}

// TestSlowStreamExpires: what was written of a stream in so long a time may have been given back, so
// it does not become a version.
func TestSlowStreamExpires(t *testing.T) {
	bubble(t, 2, 1, erasure.Profile{K: 1, M: 1}, func(t *testing.T, fc *fakeCluster) {
		body := bytes.Repeat(small, 2000)
		_, err := fc.client().Put(t.Context(), &api.PutObject{
			Bucket: "b", Key: "k", Size: int64(len(body)), Body: &trickle{bytes.NewReader(body), storeMax + time.Hour},
		})
		wantKind(t, err, api.UploadExpired)
	})
}
