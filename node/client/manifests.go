package client

import (
	"bytes"
	"context"

	"shoal/node/consensus"
	"shoal/node/meta"
)

// Manifests gives manifests of a group's live versions, after a version ID: at most so many, 1 to 1,000.
func (c *Client) Manifests(ctx context.Context, g consensus.GroupID, after []byte, most int) (*meta.ManifestsAnswer, error) {
	a, err := c.query(ctx, g, &meta.Query{Q: &meta.Query_Manifests{Manifests: &meta.ManifestsQuery{After: after, Max: uint32(most)}}})
	return a.GetManifests(), err
}

// VersionBefore gives the version ID before another one, so that Manifests begins with that; none for
// the first of all.
func VersionBefore(id []byte) []byte {
	out := bytes.Clone(id)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i]--; out[i] != 0xff {
			return out
		}
	}
	return nil
}
