package client

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"shoal/node/api"
	"shoal/node/consensus"
)

// Collect implements api.Collections.
func (c *Client) Collect(ctx context.Context) (api.Collection, error) {
	return c.collection(ctx, "collect")
}

// Collection implements api.Collections.
func (c *Client) Collection(ctx context.Context) (api.Collection, error) {
	return c.collection(ctx, "collection")
}

func (c *Client) collection(ctx context.Context, what string) (api.Collection, error) {
	answers, err := askAll[api.NodeCollection](ctx, c, what, nil)
	if err != nil {
		return api.Collection{}, err
	}
	sum := mergeCollections(answers)
	space, err := c.Space(ctx)
	sum.PendingDrops = space.PendingDrops
	return sum, err
}

func mergeCollections(answers []answer[api.NodeCollection]) api.Collection {
	sum := api.Collection{Nodes: []api.NodeCollection{}, Silent: silent(answers)}
	for i := range answers {
		n := answers[i].value
		if answers[i].err != nil {
			continue
		}
		n.Node = string(answers[i].node)
		sum.Nodes = append(sum.Nodes, n)
		sum.FreedBytes += n.FreedBytes
		if n.Began.IsZero() {
			continue
		}
		sum.Running = sum.Running || n.Step != ""
		sum.Done += int64(n.Steps)
		sum.Total += int64(len(api.CollectionSteps))
	}
	slices.SortFunc(sum.Nodes, func(a, b api.NodeCollection) int { return cmp.Compare(a.Node, b.Node) })
	return sum
}

// VerifyDropped implements api.Collections. What a group has pending is asked for first: what is deleted from then on may
// be missed, as whatever comes after a question.
func (c *Client) VerifyDropped(ctx context.Context, bucket, prefix string) (api.Dropped, error) {
	d := api.Dropped{Bucket: bucket, Prefix: prefix}
	b, err := c.resolve(ctx, bucket)
	if err != nil {
		return d, err
	}
	page, err := c.ListVersions(ctx, &api.ListVersions{Bucket: bucket, Prefix: prefix, Max: api.MaxListObjects})
	if err != nil {
		return d, err
	}
	d.Living = len(page.Versions)
	of := api.BucketOwner{Group: b.GetGroup(), Bucket: b.GetId(), Prefix: []byte(prefix)}
	if d.Pending, d.PendingUnnamed, err = c.pendingOf(ctx, of); err != nil {
		return d, err
	}
	answers, err := each[api.NodeLeftovers](ctx, c, "leftovers", of, 0)
	if err != nil {
		return d, err
	}
	for i := range answers {
		n := &answers[i].value
		d.Leftovers.Add(&n.Leftovers)
		d.Missing = append(d.Missing, n.MissingDrives...)
	}
	members, err := c.memberRows(ctx)
	if err != nil {
		return d, err
	}
	d.Silent = append(silent(answers), unasked(members, answers)...)
	d.Clean = d.Pending+d.Dead+d.Unknown == 0 && len(d.Silent)+len(d.Missing) == 0
	return d, nil
}

// pendingMax bounds the deleted versions that are looked at for their bucket.
const pendingMax = 1_000_000

// pendingOf counts the deleted versions below a prefix of a bucket whose shards wait to be dropped. Those whose key is not remembered count,
// and are unnamed, and so do all beyond pendingMax.
func (c *Client) pendingOf(ctx context.Context, of api.BucketOwner) (n, unnamed int64, err error) {
	var after uint64
	for looked := 0; ; {
		a, err := c.Garbage(ctx, consensus.GroupID(of.Group), after)
		if err != nil {
			return n, unnamed, err
		}
		list := a.GetGarbage()
		for _, e := range list {
			after = e.GetSeq()
			switch key := e.GetKey(); {
			case e.GetBucket() != of.Bucket:
			case len(key) == 0:
				n, unnamed = n+1, unnamed+1
			case bytes.HasPrefix(key, of.Prefix):
				n++
			}
		}
		if looked += len(list); looked >= pendingMax && a.GetTruncated() {
			rest := int64(a.GetPending()) - int64(looked)
			return n + rest, unnamed + rest, nil
		}
		if !a.GetTruncated() || len(list) == 0 {
			return n, unnamed, nil
		}
	}
}

// unasked lists members with drives that were not asked: they are known to the system group alone.
func unasked(members []api.Member, answers []answer[api.NodeLeftovers]) (ids []string) {
	for i := range members {
		m := &members[i]
		asked := slices.ContainsFunc(answers, func(a answer[api.NodeLeftovers]) bool { return string(a.node) == m.PeerID })
		if m.Drives > 0 && !asked {
			ids = append(ids, m.PeerID)
		}
	}
	return ids
}
