package client

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/meta"
	"shoal/node/peer"
)

// keep makes the last two nodes remember the layout, a credential AK and a bucket, as of so many ages
// ago when they are asked.
func (f *fakeCluster) keep(stale time.Duration, buckets ...*meta.Bucket) {
	asOf := time.Now()
	for i, id := range f.ids[len(f.ids)-2:] {
		asOf := asOf.Add(-time.Duration(i) * time.Minute) // the second has older ones
		f.nodes[id].kept = func(q peer.RecallQuestion) (*peer.Recollection, error) {
			r := &peer.Recollection{Age: time.Since(asOf), StaleIdentity: stale}
			switch {
			case q.AccessKeyID == "AK" && r.Age < stale:
				r.Credential = api.Credential{AccessKeyID: "AK", Secret: "secret of AK", Principal: "me"}
			case q.AccessKeyID != "":
				return nil, &api.Error{Kind: api.Unavailable, Op: "fake"}
			case q.Bucket == "":
				r.Layout = f.layout
			default:
				for _, b := range buckets {
					if b.GetName() == q.Bucket {
						r.Bucket = b
						return r, nil
					}
				}
				return nil, &api.Error{Kind: api.Unavailable, Op: "fake"}
			}
			return r, nil
		}
	}
}

// start runs a client that knows nothing yet, with the age that is allowed by default.
func (f *fakeCluster) start() (*Client, func()) {
	c := New(Config{Directory: f, StaleCredentials: time.Hour, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Run(ctx)
	}()
	return c, func() {
		cancel()
		<-done
	}
}

// A client that starts in a site that is cut off serves the site's buckets out of what the site's
// nodes keep, as long as that is fresh enough, and nothing else; when the cut heals it serves all.
func TestColdStartCutOff(t *testing.T) {
	bubble(t, 5, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
		fc.settle("edge")
		warm := fc.client() // makes the bucket b
		_, err := warm.CreateBucket(t.Context(), api.CreateBucket{Name: "bound", Owner: "me", Location: "edge", Site: "edge"})
		check(t, err)
		check(t, putIn(t, warm, "bound", "k", large()))
		fc.keep(time.Hour, warm.buckets.get("bound"), warm.buckets.get("b"))
		for _, id := range fc.ids[:3] {
			fc.nodes[id].kill()
		}
		pass(10 * time.Minute)
		c, stop := fc.start()
		defer stop()
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Ready(soon); err == nil {
			t.Error("ready before anything is known")
		}
		pass(10 * time.Second)
		limits, err := c.Ready(t.Context())
		if check(t, err); len(limits) != 2 || !strings.Contains(limits[0], "edge") || !strings.Contains(limits[1], "10m") {
			t.Errorf("ready within %q", limits)
		}
		cred, err := c.Credential(t.Context(), "AK")
		if check(t, err); cred.Secret != "secret of AK" || cred.Principal != "me" {
			t.Errorf("recalled %+v", cred)
		}
		if age := c.IdentityAge(); age < 10*time.Minute || age > 11*time.Minute {
			t.Errorf("the identities are %v old: the newest that any node keeps are 10m", age)
		}
		wantIn(t, c, "bound", "k", large())
		check(t, putIn(t, c, "bound", "k2", large()))
		_, err = c.HeadBucket(t.Context(), "bound")
		check(t, err)
		_, err = c.Open(t.Context(), &api.ObjectRef{Bucket: "b", Key: "k"})
		wantKind(t, err, api.Unavailable) // also a bucket that a node names but that is bound to nothing
		_, err = c.Credential(t.Context(), "unknown")
		wantKind(t, err, api.Unavailable) // not refused: it may be newer than what is kept
		h, err := c.Cluster(t.Context())
		if check(t, err); h.Whole || !strings.Contains(strings.Join(h.Reasons, " "), "cut off") || !strings.Contains(strings.Join(h.Reasons, " "), "10m") {
			t.Errorf("health: %+v", h)
		}
		pass(time.Hour)
		_, err = c.Credential(t.Context(), "AK")
		wantKind(t, err, api.Unavailable)
		if limits, err := c.Ready(t.Context()); err == nil {
			t.Errorf("ready with keys that are too old, within %q", limits)
		}
		for _, id := range fc.ids[:3] {
			fc.nodes[id].revive()
		}
		pass(time.Minute)
		_, err = c.Credential(t.Context(), "AK")
		check(t, err)
		_, err = c.Put(t.Context(), &api.PutObject{Bucket: "b", Key: "k", Size: 5, Body: bytes.NewReader(small[:5])})
		check(t, err)
		if limits, err := c.Ready(t.Context()); err != nil || len(limits) > 0 || c.IdentityAge() != 0 {
			t.Errorf("healed: ready within %q, %v, identities %v old", limits, err, c.IdentityAge())
		}
	})
}

// What the system group has refused is not brought back by what a node remembers of before.
func TestRecallAfterRevocation(t *testing.T) {
	bubble(t, 5, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
		fc.settle("edge")
		c, stop := fc.start()
		defer stop()
		_, err := c.Credential(t.Context(), "AK")
		check(t, err)
		fc.keep(time.Hour)
		pass(time.Minute)
		fc.revoke("AK")
		_, err = c.Credential(t.Context(), "AK")
		wantKind(t, err, api.NoSuchCredential)
		for _, id := range fc.ids[:3] {
			fc.nodes[id].kill()
		}
		_, err = c.Credential(t.Context(), "AK")
		wantKind(t, err, api.NoSuchCredential)
		_, err = c.Credential(t.Context(), "AK")
		wantKind(t, err, api.NoSuchCredential)
	})
}

// The setting of the store counts, not the default that a client starts with.
func TestRecallNever(t *testing.T) {
	bubble(t, 5, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
		fc.settle("edge")
		fc.keep(0)
		for _, id := range fc.ids[:3] {
			fc.nodes[id].kill()
		}
		c, stop := fc.start()
		defer stop()
		pass(10 * time.Second)
		synctest.Wait()
		_, err := c.Credential(t.Context(), "AK")
		wantKind(t, err, api.Unavailable)
		if _, err := c.Ready(t.Context()); err == nil {
			t.Error("ready although no key may be used unconfirmed")
		}
	})
}

// Nodes that are silent do not keep the others from being asked for a key within a second.
func TestKeyBesideSilentNodes(t *testing.T) {
	bubble(t, 5, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
		c := fc.client()
		for _, id := range fc.ids[:3] {
			defer fc.nodes[id].pause()()
		}
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if kek, err := c.kek(soon, 7); err != nil || kek.ID != fc.kek.ID {
			t.Errorf("key %d, %v", kek.ID, err)
		}
		for _, id := range fc.ids[3:] {
			fc.nodes[id].kill()
		}
		_, err := c.kek(t.Context(), 8)
		wantKind(t, err, api.Unavailable)
		for _, id := range fc.ids {
			fc.nodes[id].kill()
		}
		_, err = c.kek(t.Context(), 8)
		wantKind(t, err, api.Unavailable)
	})
}

// Who asks whether a client is ready, and waits for less time than the system group is waited for, hears of it all the same.
func TestReadyForTheImpatient(t *testing.T) {
	bubble(t, 5, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
		fc.settle("edge")
		fc.keep(time.Hour)
		c, stop := fc.start()
		defer stop()
		_, err := c.Ready(t.Context())
		check(t, err)
		for _, id := range fc.ids[:3] {
			defer fc.nodes[id].pause()()
		}
		var limits []string
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			limits, err = c.Ready(ctx)
			if cancel(); err == nil {
				break
			}
		}
		if err != nil || len(limits) != 2 {
			t.Errorf("ready within %q, %v", limits, err)
		}
	})
}
