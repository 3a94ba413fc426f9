package client

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/apitest"
	"shoal/node/meta"
	"shoal/node/peer"
)

// bubble runs a test in virtual time on a cluster of its own.
func bubble(t *testing.T, nodes, drives int, p erasure.Profile, f func(*testing.T, *fakeCluster)) {
	synctest.Test(t, func(t *testing.T) {
		fc := newFakeCluster(t, nodes, drives, p)
		defer fc.close()
		f(t, fc)
	})
}

func put(t *testing.T, c *Client, key string, body []byte, cond api.Condition) error {
	t.Helper()
	_, err := c.Put(t.Context(), &api.PutObject{Bucket: "b", Key: key, Size: int64(len(body)), Body: bytes.NewReader(body), If: cond})
	return err
}

func get(t *testing.T, c *Client, key string) ([]byte, error) {
	t.Helper()
	o, err := c.Open(t.Context(), &api.ObjectRef{Bucket: "b", Key: key})
	if err != nil {
		return nil, err
	}
	defer o.Close()
	var out bytes.Buffer
	err = o.WriteRange(t.Context(), &out, 0, o.Info().Size)
	return out.Bytes(), err
}

func wantBody(t *testing.T, c *Client, key string, want []byte) {
	t.Helper()
	got, err := get(t, c, key)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("get %s: %d bytes that differ from the %d written", key, len(got), len(want))
	}
}

func wantKind(t *testing.T, err error, want api.Kind) {
	t.Helper()
	if err == nil || api.KindOf(err) != want {
		t.Fatalf("got %v, want %v", err, want)
	}
}

var small = []byte("a small object")

// The contract holds on the cluster of these tests, which makes what they find trustworthy.
func TestContract(t *testing.T) {
	fc := newFakeCluster(t, 5, 1, erasure.Profile{K: 2, M: 1})
	defer fc.close()
	c, stop := fc.running()
	defer stop()
	apitest.Suite(t, func(*testing.T) apitest.Stores {
		return apitest.Stores{Buckets: c, Objects: c, Uploads: c, Versions: c}
	})
}

// A leader that is gone costs no time beyond the election.
func TestFailover(t *testing.T) {
	bubble(t, 5, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
		c := fc.client()
		if err := put(t, c, "k", small, api.Condition{}); err != nil {
			t.Fatal(err)
		}
		fc.node(0).kill()
		const election = 300 * time.Millisecond
		elected := time.AfterFunc(election, func() { fc.lead("node-2") })
		defer elected.Stop()
		start := time.Now()
		wantBody(t, c, "k", small)
		if took := time.Since(start); took < election || took > election+routePauseMax {
			t.Errorf("the read took %v, the election %v", took, election)
		}
		start = time.Now()
		if err := put(t, c, "k2", small, api.Condition{}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("a write after the failover took %v", took)
		}
	})
}

// A leader that hangs costs an attempt, and not the whole request.
func TestHungLeader(t *testing.T) {
	for name, request := range map[string]func(t *testing.T, c *Client){
		"read":  func(t *testing.T, c *Client) { wantBody(t, c, "k", small) },
		"write": func(t *testing.T, c *Client) { check(t, put(t, c, "k", small, api.Condition{})) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 5, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
				c := fc.client()
				check(t, put(t, c, "k", small, api.Condition{}))
				defer fc.node(0).pause()()
				elected := time.AfterFunc(1200*time.Millisecond, func() { fc.lead("node-1") })
				defer elected.Stop()
				start := time.Now()
				request(t, c)
				if took := time.Since(start); took > 2500*time.Millisecond {
					t.Errorf("the request took %v", took)
				}
			})
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Only those that keep the group are asked who leads it.
func TestAsksVotersAlone(t *testing.T) {
	bubble(t, 8, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
		c := fc.client()
		check(t, put(t, c, "k", small, api.Condition{}))
		fc.lead("node-2")
		before := fc.node(5).calls
		wantBody(t, c, "k", small)
		c.router.mu.Lock()
		clear(c.router.leaders)
		c.router.mu.Unlock()
		wantBody(t, c, "k", small)
		if n := fc.node(5).calls; n != before {
			t.Errorf("a node that keeps no group was asked %d times", n-before)
		}
		fc.lead("node-6") // and the layout does not know
		fc.node(0).kill()
		fc.node(1).kill()
		fc.node(2).kill()
		wantBody(t, c, "k", small)
	})
}

// When nobody leads, the request ends in bounded time with an answer that promises nothing.
func TestNoLeader(t *testing.T) {
	bubble(t, 3, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
		c := fc.client()
		check(t, put(t, c, "k", small, api.Condition{}))
		fc.lead("")
		start := time.Now()
		_, err := get(t, c, "k")
		wantKind(t, err, api.Unavailable)
		wantKind(t, put(t, c, "k", small, api.Condition{}), api.Unavailable)
		if took := time.Since(start); took > 2*routeBudget {
			t.Errorf("took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = c.Head(ctx, &api.ObjectRef{Bucket: "b", Key: "k"})
		wantKind(t, err, api.Canceled)
	})
}

// An answer that is lost is asked for again, and is that of the first command.
func TestLostAnswers(t *testing.T) {
	loseFirst := func(times int) func(*meta.Command) bool {
		return func(cmd *meta.Command) bool {
			times--
			return times >= 0
		}
	}
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, c *Client) error
	}{
		{"create only", func(t *testing.T, c *Client) error { return put(t, c, "new", small, api.Condition{IfNoneMatch: true}) }},
		{"create only, chunked", func(t *testing.T, c *Client) error {
			return put(t, c, "new", bytes.Repeat(small, 5000), api.Condition{IfNoneMatch: true})
		}},
		{"delete", func(t *testing.T, c *Client) error {
			head, err := c.Head(t.Context(), &api.ObjectRef{Bucket: "b", Key: "k"})
			check(t, err)
			item := api.DeleteItem{Key: "k", If: api.Condition{IfMatch: head.ETag}}
			_, err = c.Delete(t.Context(), &api.DeleteObject{Bucket: "b", DeleteItem: item})
			return err
		}},
		{"create bucket", func(t *testing.T, c *Client) error {
			_, err := c.CreateBucket(t.Context(), api.CreateBucket{Name: "second", Owner: "root"})
			return err
		}},
		{"delete bucket", func(t *testing.T, c *Client) error {
			_, err := c.Delete(t.Context(), &api.DeleteObject{Bucket: "b", DeleteItem: api.DeleteItem{Key: "k"}})
			check(t, err)
			return c.DeleteBucket(t.Context(), "b")
		}},
		{"abort upload", func(t *testing.T, c *Client) error {
			id, err := c.CreateUpload(t.Context(), &api.CreateUpload{Bucket: "b", Key: "u"})
			check(t, err)
			return c.AbortUpload(t.Context(), api.UploadRef{Bucket: "b", Key: "u", UploadID: id})
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, 3, 1, erasure.Profile{K: 1, M: 1}, func(t *testing.T, fc *fakeCluster) {
				c := fc.client()
				check(t, put(t, c, "k", small, api.Condition{}))
				fc.node(0).lose = loseFirst(2)
				check(t, tc.run(t, c))
			})
		})
	}
}

// A write whose answer was lost, and that another one has replaced since, is done all the same: it
// must not be done again.
func TestLostAnswerOverwritten(t *testing.T) {
	bubble(t, 3, 1, erasure.Profile{K: 1, M: 1}, func(t *testing.T, fc *fakeCluster) {
		c := fc.client()
		other := []byte("what another client wrote")
		lost := false
		fc.node(0).lose = func(cmd *meta.Command) bool {
			if cmd.GetPutVersion() == nil || lost {
				return false
			}
			lost = true
			check(t, put(t, c, "k", other, api.Condition{}))
			return true
		}
		check(t, put(t, c, "k", small, api.Condition{}))
		wantBody(t, c, "k", other)
	})
}

// The same for an object with shards: it must not be made again, nor may the answer be a refusal,
// whether it was replaced or removed.
func TestLostAnswerOverwrittenChunks(t *testing.T) {
	other := []byte("what another client wrote")
	for name, meanwhile := range map[string]func(t *testing.T, c *Client){
		"overwritten": func(t *testing.T, c *Client) { check(t, put(t, c, "k", other, api.Condition{})) },
		"deleted": func(t *testing.T, c *Client) {
			_, err := c.Delete(t.Context(), &api.DeleteObject{Bucket: "b", DeleteItem: api.DeleteItem{Key: "k"}})
			check(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 3, 1, erasure.Profile{K: 1, M: 1}, func(t *testing.T, fc *fakeCluster) {
				c := fc.client()
				lost := false
				fc.node(0).lose = func(cmd *meta.Command) bool {
					if cmd.GetPutVersion() == nil || lost {
						return false
					}
					lost = true
					meanwhile(t, c)
					return true
				}
				check(t, put(t, c, "k", bytes.Repeat(small, 5000), api.Condition{IfNoneMatch: true}))
				if name == "overwritten" {
					wantBody(t, c, "k", other)
					return
				}
				_, err := get(t, c, "k")
				wantKind(t, err, api.NoSuchKey)
			})
		})
	}
}

// When the outcome stays unknown, that is the answer, and the version's shards are left to the group.
func TestOutcomeStaysUnknown(t *testing.T) {
	bubble(t, 3, 1, erasure.Profile{K: 1, M: 1}, func(t *testing.T, fc *fakeCluster) {
		c, stop := fc.running()
		defer stop()
		body := bytes.Repeat(small, 5000)
		fc.node(0).lose = func(cmd *meta.Command) bool { return cmd.GetPutVersion() != nil }
		wantKind(t, put(t, c, "k", body, api.Condition{IfNoneMatch: true}), api.OutcomeUnknown)
		synctest.Wait() // for the shards to be given back, if that were so
		fc.node(0).lose = nil
		wantBody(t, c, "k", body)
	})
}

// A refusal after an answer was lost does not say that nothing was done.
func TestRefusalAfterLostAnswer(t *testing.T) {
	fc := newFakeCluster(t, 1, 1, erasure.Profile{K: 1})
	defer fc.close()
	c := fc.client()
	tries := 0
	refused := errors.New("refused")
	err := c.router.propose(t.Context(), 1, func(context.Context, peer.Node) error {
		if tries++; tries == 1 {
			return &api.Error{Kind: api.OutcomeUnknown}
		}
		return &api.Error{Kind: api.EntityTooLarge, Err: refused}
	})
	wantKind(t, err, api.OutcomeUnknown)
	if !errors.Is(err, refused) {
		t.Errorf("%v does not say why", err)
	}
	err = c.router.propose(t.Context(), 1, func(context.Context, peer.Node) error { return &api.Error{Kind: api.SlowDown} })
	wantKind(t, err, api.SlowDown)
}

// The pin of an open object is renewed where the group is led by then.
func TestPinFollowsLeader(t *testing.T) {
	bubble(t, 3, 1, erasure.Profile{K: 1, M: 1}, func(t *testing.T, fc *fakeCluster) {
		c := fc.client()
		check(t, put(t, c, "k", bytes.Repeat(small, 5000), api.Condition{}))
		o, err := c.Open(t.Context(), &api.ObjectRef{Bucket: "b", Key: "k"})
		check(t, err)
		defer o.Close()
		fc.lead("node-1")
		fc.node(0).kill()
		pass(40 * time.Second)
		fc.mu.Lock()
		defer fc.mu.Unlock()
		if len(fc.node(1).pins) == 0 {
			t.Error("the new leader was not told of the reader")
		}
	})
}

// Credentials outlive the system group's absence for as long as is allowed, and no longer.
func TestStaleCredentials(t *testing.T) {
	bubble(t, 2, 1, erasure.Profile{K: 1}, func(t *testing.T, fc *fakeCluster) {
		fc.settle("edge") // without buckets that are bound to a site there is no use for them
		c := New(Config{Directory: fc, StaleCredentials: time.Minute})
		strict := New(Config{Directory: fc})
		for _, c := range []*Client{c, strict} {
			c.refreshLayout(t.Context())
			got, err := c.Credential(t.Context(), "AK")
			check(t, err)
			if !strings.HasSuffix(got.Secret, "AK") {
				t.Fatal(got.Secret)
			}
		}
		fc.node(0).kill()
		pass(time.Second)
		_, err := c.Credential(t.Context(), "AK")
		check(t, err)
		_, err = strict.Credential(t.Context(), "AK")
		wantKind(t, err, api.Unavailable)
		c.ForgetCredentials()
		_, err = c.Credential(t.Context(), "AK")
		wantKind(t, err, api.Unavailable)
		fc.node(0).revive()
		_, err = c.Credential(t.Context(), "AK")
		check(t, err)
		fc.node(0).kill()
		pass(2 * time.Minute)
		_, err = c.Credential(t.Context(), "AK")
		wantKind(t, err, api.Unavailable)
	})
}

// A credential that is in use is confirmed before it is too old, and no request waits for that. One that was revoked is not kept, nor one
// that was forgotten while it was asked for.
func TestCredentialIsConfirmedSoon(t *testing.T) {
	bubble(t, 1, 1, erasure.Profile{K: 1}, func(t *testing.T, fc *fakeCluster) {
		c := New(Config{Directory: fc})
		ask := func() error {
			t.Helper()
			began := time.Now()
			_, err := c.Credential(t.Context(), "AK")
			if d := time.Since(began); d != 0 && err == nil {
				t.Errorf("a request waited for %v", d)
			}
			return err
		}
		check(t, ask())
		for range 3 { // so long that it would be too old
			pass(credentialTTL * 3 / 5)
			calls := fc.node(0).calls
			resume := fc.node(0).pause()
			check(t, ask())
			check(t, ask())
			resume()
			synctest.Wait()
			if n := fc.node(0).calls - calls; n != 1 {
				t.Fatalf("%d questions were asked", n)
			}
		}
		pass(credentialTTL * 3 / 5)
		fc.revoked = map[string]bool{"AK": true}
		check(t, ask())
		synctest.Wait()
		wantKind(t, ask(), api.NoSuchCredential)

		fc.revoked = nil
		check(t, ask())
		pass(credentialTTL * 3 / 5)
		resume := fc.node(0).pause()
		check(t, ask())
		c.ForgetCredentials()
		resume()
		synctest.Wait()
		fc.node(0).kill()
		wantKind(t, ask(), api.Unavailable)
	})
}

// A layout that gossip speaks of is fetched at once.
func TestLayoutChanged(t *testing.T) {
	bubble(t, 3, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
		c, stop := fc.running()
		defer stop()
		_, err := c.Layout(t.Context())
		check(t, err)
		fc.place(erasure.Profile{K: 2, M: 1})
		c.LayoutChanged(2)
		synctest.Wait()
		if l, _ := c.Layout(t.Context()); l.Epoch != 2 {
			t.Errorf("epoch %d", l.Epoch)
		}
	})
}

// pass lets time pass in the bubble.
func pass(d time.Duration) { <-time.After(d) }
