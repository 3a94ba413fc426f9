package repair

import (
	"context"

	"shoal/node/consensus"
	"shoal/node/meta"
)

// manifestsPage is how many manifests are asked for at a time.
const manifestsPage = 1000

// eachManifest calls f for the manifests of all that lives in a group, until f fails: first for the parts of open uploads, then for the
// versions of objects. An upload that is completed meanwhile is met as the one, the other or both, and never as neither.
func eachManifest(ctx context.Context, c Groups, g consensus.GroupID, f func(*meta.VersionManifest) error) error {
	last := new(meta.VersionManifest)
	err := eachPage(func() (*meta.ManifestsAnswer, error) {
		return c.PartManifests(ctx, g, last.GetVersion(), last.GetPart(), manifestsPage)
	}, func(v *meta.VersionManifest) error {
		last = v
		return f(v)
	})
	if err != nil {
		return err
	}
	var after []byte
	return eachPage(func() (*meta.ManifestsAnswer, error) {
		return c.Manifests(ctx, g, after, manifestsPage)
	}, func(v *meta.VersionManifest) error {
		after = v.GetVersion()
		return f(v)
	})
}

// eachPage calls f for what pages list.
func eachPage(next func() (*meta.ManifestsAnswer, error), f func(*meta.VersionManifest) error) error {
	for {
		a, err := next()
		if err != nil {
			return err
		}
		for _, v := range a.GetManifests() {
			if err := f(v); err != nil {
				return err
			}
		}
		if !a.GetTruncated() || len(a.GetManifests()) == 0 {
			return nil
		}
	}
}
