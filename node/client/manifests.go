package client

import (
	"bytes"
	"context"
	"time"

	"shoal/node/consensus"
	"shoal/node/meta"
)

// Manifests gives manifests of a group's live versions, after a version ID: at most so many, 1 to 1,000.
func (c *Client) Manifests(ctx context.Context, g consensus.GroupID, after []byte, most int) (*meta.ManifestsAnswer, error) {
	return c.manifests(ctx, g, &meta.ManifestsQuery{After: after, Max: uint32(most)})
}

// PartManifests gives manifests of the parts of a group's open uploads, in the order of upload IDs and part numbers, after a part: at
// most so many, 1 to 1,000. Part 0 comes before the first of an upload, and no upload before all.
func (c *Client) PartManifests(ctx context.Context, g consensus.GroupID, upload []byte, part uint32, most int) (*meta.ManifestsAnswer, error) {
	return c.manifests(ctx, g, &meta.ManifestsQuery{Parts: true, After: upload, AfterPart: part, Max: uint32(most), Now: time.Now().UnixNano()})
}

func (c *Client) manifests(ctx context.Context, g consensus.GroupID, q *meta.ManifestsQuery) (*meta.ManifestsAnswer, error) {
	a, err := c.query(ctx, g, &meta.Query{Q: &meta.Query_Manifests{Manifests: q}})
	return a.GetManifests(), err
}

// ManifestNow gives what a version, or a part of an open upload, is made of by now: v names it. It is nil when that is gone.
func (c *Client) ManifestNow(ctx context.Context, g consensus.GroupID, v *meta.VersionManifest) (*meta.VersionManifest, error) {
	q := &meta.ManifestsQuery{After: versionBefore(v.GetVersion()), Max: 1}
	if v.GetPart() > 0 {
		q = &meta.ManifestsQuery{Parts: true, After: v.GetVersion(), AfterPart: v.GetPart() - 1, Max: 1, Now: time.Now().UnixNano()}
	}
	a, err := c.manifests(ctx, g, q)
	if err != nil || len(a.GetManifests()) == 0 {
		return nil, err
	}
	now := a.GetManifests()[0]
	if !bytes.Equal(now.GetVersion(), v.GetVersion()) || now.GetPart() != v.GetPart() {
		return nil, nil
	}
	return now, nil
}

// versionBefore gives the version ID before another one, so that a list begins with that; none for the first of all.
func versionBefore(id []byte) []byte {
	out := bytes.Clone(id)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i]--; out[i] != 0xff {
			return out
		}
	}
	return nil
}
