package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/p2p"
)

// failing is a cluster whose groups in out carry out nothing.
type failing struct {
	*fakeCluster
	out map[consensus.GroupID]bool
}

type failingNode struct {
	peer.Node
	out map[consensus.GroupID]bool
}

func (f *failing) Node(id p2p.NodeID) peer.Node { return &failingNode{f.fakeCluster.Node(id), f.out} }

var errOut = &api.Error{Kind: api.Internal, Op: "test", Err: errors.New("the replica is out of service")}

func (n *failingNode) Propose(ctx context.Context, g consensus.GroupID, cmd *meta.Command) (*meta.Result, error) {
	if n.out[g] {
		return nil, errOut
	}
	return n.Node.Propose(ctx, g, cmd)
}

func (n *failingNode) Query(ctx context.Context, g consensus.GroupID, q *meta.Query) (*meta.Answer, error) {
	if n.out[g] {
		return nil, errOut
	}
	return n.Node.Query(ctx, g, q)
}

// TestReadOnlyHalfWay: an order that does not reach every group is an error that says which it has reached, stands,
// and reaches the others when it is given once more.
func TestReadOnlyHalfWay(t *testing.T) {
	f := &failing{newFakeCluster(t, 3, 1, erasure.Profile{K: 2, M: 1}), make(map[consensus.GroupID]bool)}
	defer f.close()
	c := New(Config{Directory: f, Alive: f.alive, Logger: slog.New(slog.DiscardHandler)})
	ctx := t.Context()
	put := func(bucket, key string) error {
		_, err := c.Put(ctx, &api.PutObject{Bucket: bucket, Key: key, Size: 1, Body: strings.NewReader("x")})
		return err
	}
	for i := range fakePartitions { // in each group one
		if _, err := c.CreateBucket(ctx, api.CreateBucket{Name: fmt.Sprint("b", i), Owner: "root"}); err != nil {
			t.Fatal(err)
		}
	}
	f.out[2], f.out[4] = true, true
	_, err := c.SetReadOnly(ctx, true, "we move")
	var e *api.Error
	if !errors.As(err, &e) || e.Kind != api.Unavailable || !errors.Is(err, errOut) ||
		!strings.Contains(e.Detail, "2 of 4 groups of metadata are read-only") || !strings.Contains(e.Detail, ": 2, 4;") {
		t.Fatalf("half way: %v", err)
	}
	s, err := c.ReadOnlyStatus(ctx)
	if err != nil || !s.On || s.Reason != "we move" || s.Groups != 4 || s.InForce != 2 || !slices.Equal(s.Behind, []uint32{2, 4}) {
		t.Fatalf("%+v, %v", s, err)
	}
	clear(f.out)
	var refused int
	for i := range fakePartitions {
		switch err := put(fmt.Sprint("b", i), "k"); {
		case api.KindOf(err) == api.ReadOnly:
			refused++
		case err != nil:
			t.Fatal(err)
		}
	}
	if refused != 2 {
		t.Errorf("%d of 4 groups refuse", refused)
	}
	if _, err := c.CreateBucket(ctx, api.CreateBucket{Name: "new", Owner: "root"}); api.KindOf(err) != api.ReadOnly {
		t.Errorf("a new bucket: %v", err)
	}
	if s, err = c.SetReadOnly(ctx, true, "we move"); err != nil || s.InForce != 4 || s.Behind != nil {
		t.Fatalf("once more: %+v, %v", s, err)
	}
	for i := range fakePartitions {
		if err := put(fmt.Sprint("b", i), "l"); api.KindOf(err) != api.ReadOnly {
			t.Errorf("group %d takes a write: %v", i, err)
		}
	}
	if _, err := c.SetBucketReadOnly(ctx, "b1", true, "an audit"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SetReadOnly(ctx, false, ""); err != nil {
		t.Fatal(err)
	}
	for i := range fakePartitions {
		if err := put(fmt.Sprint("b", i), "l"); (api.KindOf(err) == api.ReadOnly) != (i == 1) || err != nil && i != 1 {
			t.Errorf("bucket %d: %v", i, err)
		}
	}
	if s, err = c.ReadOnlyStatus(ctx); err != nil || s.On || s.InForce != 4 || len(s.Buckets) != 1 || s.Buckets[0].Bucket != "b1" || s.Buckets[0].Reason != "an audit" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := c.SetBucketReadOnly(ctx, "nobody", true, "r"); api.KindOf(err) != api.NoSuchBucket {
		t.Errorf("no bucket: %v", err)
	}
}

// TestReadOnlyBody: a large body is not read where it could not be kept.
func TestReadOnlyBody(t *testing.T) {
	f := newFakeCluster(t, 3, 1, erasure.Profile{K: 2, M: 1})
	defer f.close()
	c := f.client()
	if _, err := c.SetBucketReadOnly(t.Context(), "b", true, "r"); err != nil {
		t.Fatal(err)
	}
	body := strings.NewReader(strings.Repeat("x", 1<<20))
	if _, err := c.Put(t.Context(), &api.PutObject{Bucket: "b", Key: "k", Size: 1 << 20, Body: body}); api.KindOf(err) != api.ReadOnly || body.Len() != 1<<20 {
		t.Errorf("%v, %d bytes are left", err, body.Len())
	}
}
