package client

import (
	"testing"
	"time"

	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/meta"
	"shoal/node/peer"
)

// keepIdentities makes a node remember users, a page for each, as of now.
func (f *fakeCluster) keepIdentities(stale time.Duration, epoch uint64, users ...string) {
	asOf := time.Now()
	f.node(len(f.ids) - 1).kept = func(q peer.RecallQuestion) (*peer.Recollection, error) {
		r := &peer.Recollection{Age: time.Since(asOf), StaleIdentity: stale, IdentityEpoch: epoch, Layout: f.layout}
		if q.Identities {
			r.Identities = []*meta.Identity{{Name: users[q.IdentityFrom], Kind: &meta.Identity_User{User: &meta.UserIdentity{}}}}
			r.More = int(q.IdentityFrom)+1 < len(users)
		}
		return r, nil
	}
}

// kill ends the nodes that have the system group.
func (f *fakeCluster) killSystem() {
	for _, id := range f.ids[:3] {
		f.nodes[id].kill()
	}
}

// Users and policies that are known are given on in a site that is cut off, once that has lasted for longer than an election takes, as
// old as they are, and until that is too old; from when the system group answers again it is asked as ever.
func TestIdentitiesCutOff(t *testing.T) {
	bubble(t, 5, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
		fc.settle("edge")
		c, stop := fc.start()
		defer stop()
		pass(time.Second)
		_, err := c.CreateBucket(t.Context(), api.CreateBucket{Name: "b", Owner: "root"})
		check(t, err)
		check(t, c.ChangeIdentity(t.Context(), api.IdentityChange{Kind: api.KindUser, Name: "alice", Do: api.DoCreate}))
		known, err := c.Identities(t.Context(), api.Known{})
		if check(t, err); !known.AsOf.IsZero() || len(known.Users) != 1 {
			t.Fatalf("at first %+v", known)
		}
		at := time.Now()
		fc.killSystem()
		for time.Since(at) < cutPatience {
			_, err = c.Identities(t.Context(), api.Known{Epoch: known.Epoch})
			wantKind(t, err, api.Unavailable)
			pass(time.Second)
		}
		pass(2 * time.Second)
		spare, err := c.Identities(t.Context(), api.Known{Epoch: known.Epoch})
		if check(t, err); spare.Whole || spare.Epoch != known.Epoch || !spare.AsOf.Equal(at) {
			t.Errorf("cut off: %+v, known since %v", spare, at)
		}
		if age := c.IdentityAge(); age != time.Since(at) {
			t.Errorf("identities are %v old, not %v", age, time.Since(at))
		}
		_, err = c.IdentityList(t.Context())
		wantKind(t, err, api.Unavailable) // it is for operators, who want the truth
		pass(time.Hour)
		_, err = c.Identities(t.Context(), api.Known{Epoch: known.Epoch})
		wantKind(t, err, api.Unavailable)
		for _, id := range fc.ids[:3] {
			fc.nodes[id].revive()
		}
		pass(time.Minute)
		_, _ = c.Identities(t.Context(), api.Known{Epoch: known.Epoch}) // one question may come before it is noticed
		pass(cutPatience)
		check(t, c.ChangeIdentity(t.Context(), api.IdentityChange{Kind: api.KindUser, Name: "bob", Do: api.DoCreate}))
		healed, err := c.Identities(t.Context(), api.Known{Epoch: known.Epoch})
		if check(t, err); !healed.AsOf.IsZero() || len(healed.Users) != 1 || healed.Users[0].Name != "bob" || c.IdentityAge() != 0 {
			t.Errorf("healed: %+v", healed)
		}
	})
}

// A gateway that starts in a site that is cut off learns the users from the site's nodes, unless they are older than what it knew.
func TestIdentitiesRecalled(t *testing.T) {
	bubble(t, 5, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
		fc.settle("edge")
		fc.keepIdentities(time.Hour, 7, "alice", "bob", "carol")
		fc.killSystem()
		pass(10 * time.Minute)
		c, stop := fc.start()
		defer stop()
		pass(2 * cutPatience)
		whole, err := c.Identities(t.Context(), api.Known{})
		if check(t, err); !whole.Whole || whole.Epoch != 7 || len(whole.Users) != 3 || whole.Users[2].Name != "carol" || time.Since(whole.AsOf) < 10*time.Minute {
			t.Errorf("recalled %+v", whole)
		}
		again, err := c.Identities(t.Context(), api.Known{Epoch: 7})
		if check(t, err); again.Whole || !again.AsOf.Equal(whole.AsOf) {
			t.Errorf("asked again: %+v", again)
		}
		_, err = c.Identities(t.Context(), api.Known{Epoch: 8})
		wantKind(t, err, api.Unavailable)
		pass(time.Hour)
		_, err = c.Identities(t.Context(), api.Known{Epoch: 7})
		wantKind(t, err, api.Unavailable)
	})
}

// Where nothing may be used unconfirmed, no users are known in a site that is cut off.
func TestIdentitiesNever(t *testing.T) {
	bubble(t, 5, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
		fc.settle("edge")
		fc.keepIdentities(0, 7, "alice")
		fc.killSystem()
		c, stop := fc.start()
		defer stop()
		pass(2 * cutPatience)
		_, err := c.Identities(t.Context(), api.Known{})
		wantKind(t, err, api.Unavailable)
	})
}
