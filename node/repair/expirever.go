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
// nothing below them, and gives other noncurrent versions their class. A version goes only while it is
// noncurrent: one that has become current again, for what was above it was deleted, stays.
func (e *expirer) versions(ctx context.Context, bucket, prefix string, rules []api.LifecycleRule) error {
	req := &api.ListVersions{Bucket: bucket, Prefix: prefix, Max: api.MaxListObjects, Tags: tagged(rules), History: true}
	var c chain
	todo := &batch{e: e, bucket: bucket}
	for {
		page, err := paced(ctx, e, func() (*api.VersionPage, error) { return e.c.ListVersions(ctx, req) })
		if err != nil {
			return gone(err)
		}
		for i := range page.Versions {
			v := &page.Versions[i]
			if v.Key != c.key || v.Latest {
				e.endChain(todo, &c, rules)
				c = chain{key: v.Key}
			}
			e.version(todo, &c, v, rules)
			if err := todo.flush(ctx, expireBatch); err != nil {
				return gone(err)
			}
		}
		e.worker.progress(int64(len(page.Versions)))
		if !page.Truncated {
			e.endChain(todo, &c, rules)
			return gone(todo.flush(ctx, 1))
		}
		req.AfterKey, req.AfterVersion = page.NextKey, page.NextVersion
	}
}

// version goes one version down a chain, and finds out what the rules want of it.
func (e *expirer) version(todo *batch, c *chain, v *api.ListedVersion, rules []api.LifecycleRule) {
	since, newer := c.above, c.noncurrent
	c.above, c.marker = v.LastModified, nil
	if v.Latest {
		if v.DeleteMarker {
			c.marker = v
		}
		return
	}
	c.noncurrent++
	s := api.Subject{Key: v.Key, Size: v.Size, Modified: v.LastModified, Tags: v.Tags, Class: v.Class}
	due := func(r *api.LifecycleRule) bool {
		return r.NoncurrentDays > 0 && newer >= r.NoncurrentNewer && !api.DaysLater(since, r.NoncurrentDays).After(e.now())
	}
	transits := func(r *api.LifecycleRule) bool { return e.due(r.NoncurrentTransits(&s, since, newer)) }
	switch {
	case fits(&s, rules, due):
		todo.add(api.DeleteItem{Key: v.Key, VersionID: v.VersionID, Noncurrent: true})
	case !v.DeleteMarker && fits(&s, rules, transits):
		todo.addTransit(api.TransitionItem{Key: v.Key, VersionID: v.VersionID, Noncurrent: true, Modified: v.LastModified})
	}
}

// endChain adds the delete marker of a key that has nothing else, when its time has come.
func (e *expirer) endChain(todo *batch, c *chain, rules []api.LifecycleRule) {
	m := c.marker
	if m == nil {
		return
	}
	for i := range rules {
		r := &rules[i]
		late := r.ExpireDays > 0 && !api.DaysLater(m.LastModified, r.ExpireDays).After(e.now())
		if (r.ExpireMarkers || late) && r.Fits(&api.Subject{Key: m.Key}) {
			todo.add(api.DeleteItem{Key: m.Key, VersionID: m.VersionID})
			return
		}
	}
}
