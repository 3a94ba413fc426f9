package e2e

import (
	"errors"
	"testing"
	"time"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// TestKeyUse: operators see when an access key was last used, at whichever process.
func TestKeyUse(t *testing.T) {
	t.Parallel()
	n := cluster.Start(t, cluster.Options{})
	g := newGateway(t, n, invite(t, n))
	g.Start()
	g.WaitReady()
	r := &rights{t: t, node: n}
	must(t, sdkClient{n.S3()}.mkBucket(t.Context(), "rights"))
	r.prepare("k")
	r.admin("user", "create", "alice")
	r.admin("user", "attach", "alice", "readonly")
	var used, idle api.IssuedKey
	n.AdminJSON(&used, "key", "create", "alice")
	n.AdminJSON(&idle, "key", "create", "alice")
	begun := time.Now().Add(-time.Second)
	r.becomes(g, &used, "k", "")
	eventually(t, 60*time.Second, func() error {
		var keys []api.AccessKey
		n.AdminJSON(&keys, "key")
		for _, k := range keys {
			switch {
			case k.AccessKeyID == idle.AccessKeyID && !k.LastUsed.IsZero():
				t.Errorf("%+v was never used", k)
			case k.AccessKeyID == used.AccessKeyID && k.LastUsed.Before(begun):
				return errors.New("the use is not known yet")
			case k.Created.Before(begun.Add(-time.Hour)):
				t.Errorf("%+v is too old", k)
			}
		}
		return nil
	})
}
