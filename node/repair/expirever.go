package repair

import (
	"context"
	"time"

	"shoal/node/api"
)

// chain is the versions of one key, as a listing goes down them.
type chain struct {
	key        string
	above      time.Time          // when the version above was made: from then on this one is noncurrent
	noncurrent int                // versions seen that are
	marker     *api.ListedVersion // the current version, when it is a delete marker and nothing was seen below it
}

// versions removes noncurrent versions below a prefix whose time has come, and delete markers with
// nothing below them. A version goes only while it is noncurrent: one that has become current again,
// for what was above it was deleted, stays.
func (e *expirer) versions(ctx context.Context, bucket, prefix string, rules []api.LifecycleRule) error {
	req := &api.ListVersions{Bucket: bucket, Prefix: prefix, Max: api.MaxListObjects}
	var c chain
	var items []api.DeleteItem
	for {
		page, err := e.c.ListVersions(ctx, req)
		if err != nil {
			return gone(err)
		}
		for i := range page.Versions {
			v := &page.Versions[i]
			if v.Key != c.key || v.Latest {
				items = e.endChain(items, &c, rules)
				c = chain{key: v.Key}
			}
			item, err := e.version(ctx, bucket, &c, v, rules)
			if err != nil {
				return err
			}
			if item != nil {
				items = append(items, *item)
			}
			if len(items) >= expireBatch {
				if err := e.remove(ctx, bucket, items); err != nil {
					return gone(err)
				}
				items = items[:0]
			}
		}
		e.worker.progress(int64(len(page.Versions)))
		if !page.Truncated {
			return gone(e.remove(ctx, bucket, e.endChain(items, &c, rules)))
		}
		req.AfterKey, req.AfterVersion = page.NextKey, page.NextVersion
	}
}

// version goes one version down a chain. It gives what to remove, nil for nothing.
func (e *expirer) version(ctx context.Context, bucket string, c *chain, v *api.ListedVersion, rules []api.LifecycleRule) (*api.DeleteItem, error) {
	since, newer := c.above, c.noncurrent
	c.above, c.marker = v.LastModified, nil
	if v.Latest {
		if v.DeleteMarker {
			c.marker = v
		}
		return nil, nil
	}
	c.noncurrent++
	s := api.Subject{Key: v.Key, Size: v.Size, Modified: v.LastModified}
	due := func(r *api.LifecycleRule) bool {
		return r.NoncurrentDays > 0 && newer >= r.NoncurrentNewer && !api.DaysLater(since, r.NoncurrentDays).After(e.now())
	}
	fits, err := e.fits(ctx, &api.ObjectRef{Bucket: bucket, Key: v.Key, VersionID: v.VersionID}, &s, rules, due)
	if err != nil || !fits {
		return nil, err
	}
	return &api.DeleteItem{Key: v.Key, VersionID: v.VersionID, Noncurrent: true}, nil
}

// endChain adds the delete marker of a key that has nothing else, when its time has come.
func (e *expirer) endChain(items []api.DeleteItem, c *chain, rules []api.LifecycleRule) []api.DeleteItem {
	m := c.marker
	if m == nil {
		return items
	}
	for i := range rules {
		r := &rules[i]
		late := r.ExpireDays > 0 && !api.DaysLater(m.LastModified, r.ExpireDays).After(e.now())
		if (r.ExpireMarkers || late) && r.Fits(&api.Subject{Key: m.Key}) {
			return append(items, api.DeleteItem{Key: m.Key, VersionID: m.VersionID})
		}
	}
	return items
}

// fits says whether an enabled rule that is due is for a version. Tags are asked for only where they
// decide.
func (e *expirer) fits(ctx context.Context, ref *api.ObjectRef, s *api.Subject, rules []api.LifecycleRule, due func(*api.LifecycleRule) bool) (bool, error) {
	asked := false
	for i := range rules {
		r := &rules[i]
		if !due(r) {
			continue
		}
		if len(r.Tags) > 0 && !asked {
			untagged := *r
			if untagged.Tags = nil; !untagged.Fits(s) {
				continue
			}
			info, err := e.c.Head(ctx, ref)
			switch {
			case err == nil:
				s.Tags = info.Tags
			case api.KindOf(err) == api.NoSuchKey, api.KindOf(err) == api.NoSuchVersion, api.KindOf(err) == api.DeleteMarker:
			default:
				return false, err
			}
			asked = true
		}
		if r.Fits(s) {
			return true, nil
		}
	}
	return false, nil
}
