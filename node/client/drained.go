package client

import (
	"context"
	"fmt"
	"slices"

	"shoal/node/api"
	"shoal/node/peer"
)

// keeping is what is known of who keeps what.
type keeping struct {
	layout     *peer.Layout
	groups     []api.Group
	durability api.Durability
}

// look asks all nodes.
func (c *Client) look(ctx context.Context) (k keeping, err error) {
	if k.layout, err = c.fetchLayout(ctx); err != nil {
		return k, err
	}
	if k.groups, _, err = c.groups(ctx); err != nil {
		return k, err
	}
	k.durability, err = c.Durability(ctx, api.DurabilityQuery{})
	return k, err
}

func isDraining(m api.Member) bool { return m.State == api.MemberDraining }

// waits says what a member that is being drained is still needed for, "" when for nothing.
func (k *keeping) waits(m *api.Member) string {
	replicas, shards := 0, int64(0)
	for i := range k.groups {
		if g := &k.groups[i]; slices.Contains(g.Voters, m.PeerID) || slices.Contains(g.Learners, m.PeerID) {
			replicas++
		}
	}
	for i := range k.durability.Leaving {
		if l := &k.durability.Leaving[i]; l.Node == m.PeerID {
			shards += l.Shards
		}
	}
	d := &k.durability
	switch {
	case k.places(m.PeerID):
		return "its drives still have a part in the placement"
	case shards > 0:
		return fmt.Sprintf("%d shards are still on it", shards)
	case replicas > 0:
		return fmt.Sprintf("it still keeps replicas of %d metadata groups", replicas)
	case !d.Complete || d.Epoch != k.layout.Epoch:
		return "not every node has checked its stripes since the placement changed"
	case m.Liveness != api.LivenessAlive && d.BelowPromise.Stripes+d.Unreadable.Stripes > 0:
		return "what it held has not all been made again"
	}
	return ""
}

// places tells whether shards belong on a node.
func (k *keeping) places(node string) bool {
	for _, v := range k.layout.Views() {
		for _, d := range v.Table.Drives() {
			if d.Node == node {
				return true
			}
		}
	}
	return false
}
