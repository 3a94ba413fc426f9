package repair

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
)

// Expirable is the store as lifecycle rules are carried out in it.
type Expirable interface {
	// Places gives the names of all buckets by the groups that keep them.
	Places(ctx context.Context) (map[consensus.GroupID][]string, error)
	Configuration(ctx context.Context, bucket string, epoch uint64) (*api.Configuration, error)
	List(ctx context.Context, req *api.ListObjects) (*api.ListPage, error)
	Head(ctx context.Context, req *api.ObjectRef) (*api.ObjectInfo, error)
	Versioning(ctx context.Context, bucket string) (api.BucketVersioning, error)
	ListVersions(ctx context.Context, req *api.ListVersions) (*api.VersionPage, error)
	DeleteMany(ctx context.Context, bucket string, items []api.DeleteItem) ([]api.Deleted, error)
	ListUploads(ctx context.Context, req *api.ListUploads) (*api.UploadPage, error)
	AbortUpload(ctx context.Context, ref api.UploadRef) error
}

const (
	// expireEvery is the pause between two looks for what has changed in the groups led here.
	expireEvery = 30 * time.Second
	// expireBatch is how many keys one command removes: others wait behind it.
	expireBatch = 250
	day         = 24 * time.Hour
)

// expirer carries out the lifecycle rules of buckets whose groups are led here. All that S3 counts in
// days happens at midnight, UTC, so a bucket is looked through once a day, and when its rules change.
type expirer struct {
	c       Expirable
	leads   func() []consensus.GroupID
	applied func(consensus.GroupID) uint64
	now     func() time.Time
	log     *slog.Logger
	worker  *Worker
	met     *metrics

	looked map[consensus.GroupID]look
	passed map[string]pass
}

// look is when the buckets of a group were last asked for their rules.
type look struct {
	applied uint64
	day     time.Time
}

// pass is when a bucket was last looked through to its end.
type pass struct {
	epoch uint64
	day   time.Time
}

// cycle looks at the groups that have moved since the last one, or in which a day has begun.
func (e *expirer) cycle(ctx context.Context) error {
	if e.c == nil {
		return nil
	}
	today := e.now().UTC().Truncate(day)
	looked := make(map[consensus.GroupID]look)
	due := make(map[consensus.GroupID]look)
	for _, g := range e.leads() {
		if g == consensus.SystemGroup {
			continue
		}
		l := look{day: today}
		if e.applied != nil {
			l.applied = e.applied(g)
		}
		if l.applied != 0 && e.looked[g] == l {
			looked[g] = l
		} else {
			due[g] = l
		}
	}
	e.looked = looked
	if len(due) == 0 {
		return nil
	}
	places, err := e.c.Places(ctx)
	if err != nil {
		return err
	}
	passed := make(map[string]pass)
	var errs []error
	for g, names := range places {
		if _, ok := due[g]; !ok { // what is known of buckets led elsewhere is of no use
			if _, rests := looked[g]; rests {
				keep(passed, e.passed, names)
			}
			continue
		}
		if err := e.group(ctx, names, today, passed); err != nil {
			errs = append(errs, fmt.Errorf("group %d: %w", g, err))
			continue
		}
		looked[g] = due[g]
	}
	e.passed = passed
	return errors.Join(errs...)
}

func keep(to, from map[string]pass, names []string) {
	for _, name := range names {
		if p, ok := from[name]; ok {
			to[name] = p
		}
	}
}

// group looks at the buckets of one group.
func (e *expirer) group(ctx context.Context, names []string, today time.Time, passed map[string]pass) error {
	var errs []error
	for _, name := range names {
		conf, err := e.c.Configuration(ctx, name, 0)
		if err != nil {
			if api.KindOf(err) != api.NoSuchBucket {
				errs = append(errs, err)
			}
			continue
		}
		doc := conf.Documents[api.ConfigLifecycle]
		if len(doc) == 0 {
			continue
		}
		p := pass{conf.Epoch, today}
		if e.passed[name] != p {
			if err := e.bucket(ctx, name, doc); err != nil {
				errs = append(errs, fmt.Errorf("bucket %s: %w", name, err))
				continue
			}
		}
		passed[name] = p
	}
	return errors.Join(errs...)
}

// bucket carries out all rules of one bucket.
func (e *expirer) bucket(ctx context.Context, name string, doc []byte) error {
	rules, err := api.ParseLifecycle(doc)
	if err != nil {
		return err
	}
	e.worker.begin(0)
	expires := func(r *api.LifecycleRule) bool { return r.ExpireDays > 0 || !r.ExpireDate.IsZero() }
	for _, prefix := range prefixes(rules, expires) {
		if err := e.objects(ctx, name, prefix, rules); err != nil {
			return err
		}
	}
	for _, prefix := range prefixes(rules, func(r *api.LifecycleRule) bool { return r.AbortDays > 0 }) {
		if err := e.uploads(ctx, name, prefix, rules); err != nil {
			return err
		}
	}
	return e.history(ctx, name, rules)
}

// history carries out what rules say of a bucket's older versions.
func (e *expirer) history(ctx context.Context, name string, rules []api.LifecycleRule) error {
	below := prefixes(rules, func(r *api.LifecycleRule) bool { return r.NoncurrentDays > 0 || r.ExpireMarkers || r.ExpireDays > 0 })
	if len(below) == 0 {
		return nil
	}
	versioning, err := e.c.Versioning(ctx, name)
	if err != nil || versioning.State == api.Unversioned {
		return gone(err)
	}
	for _, prefix := range below {
		if err := e.versions(ctx, name, prefix, rules); err != nil {
			return err
		}
	}
	return nil
}

// prefixes are those under which all keys lie that enabled rules of a kind are for. None begins with
// another.
func prefixes(rules []api.LifecycleRule, of func(*api.LifecycleRule) bool) []string {
	all := make(map[string]bool)
	for i := range rules {
		if !rules[i].Disabled && of(&rules[i]) {
			all[rules[i].Prefix] = true
		}
	}
	var out []string
	for _, p := range slices.Sorted(maps.Keys(all)) {
		if len(out) == 0 || !strings.HasPrefix(p, out[len(out)-1]) {
			out = append(out, p)
		}
	}
	return out
}

// objects removes the current versions below a prefix whose time has come. Each goes only as it was
// listed: one that was written over meanwhile stays.
func (e *expirer) objects(ctx context.Context, bucket, prefix string, rules []api.LifecycleRule) error {
	req := &api.ListObjects{Bucket: bucket, Prefix: prefix, Max: api.MaxListObjects}
	var items []api.DeleteItem
	for {
		page, err := e.c.List(ctx, req)
		if err != nil {
			return gone(err)
		}
		for i := range page.Objects {
			o := &page.Objects[i]
			s := api.Subject{Key: o.Key, Size: o.Size, Modified: o.LastModified}
			due := func(r *api.LifecycleRule) bool {
				at, ever := r.Expires(&s)
				return ever && !at.After(e.now())
			}
			fits, err := e.fits(ctx, &api.ObjectRef{Bucket: bucket, Key: o.Key}, &s, rules, due)
			if err != nil {
				return gone(err)
			}
			if !fits {
				continue
			}
			items = append(items, api.DeleteItem{Key: o.Key, If: api.Condition{IfMatch: o.ETag}, IfSize: &o.Size, IfModified: &o.LastModified})
			if len(items) == expireBatch {
				if err := e.remove(ctx, bucket, items); err != nil {
					return gone(err)
				}
				items = items[:0]
			}
		}
		e.worker.progress(int64(len(page.Objects)))
		if !page.Truncated {
			return gone(e.remove(ctx, bucket, items))
		}
		req.After = page.Next
	}
}

// gone makes nothing of a bucket that is not there any more.
func gone(err error) error {
	if err != nil && api.KindOf(err) == api.NoSuchBucket {
		return nil
	}
	return err
}

// remove removes what was listed. What has changed since stays, and is no error.
func (e *expirer) remove(ctx context.Context, bucket string, items []api.DeleteItem) error {
	if len(items) == 0 {
		return nil
	}
	done, err := e.c.DeleteMany(ctx, bucket, items)
	if err != nil {
		return err
	}
	for i := range done {
		switch err := done[i].Err; {
		case err == nil:
			e.met.expired.Inc()
		case api.KindOf(err) == api.PreconditionFailed || api.KindOf(err) == api.NoSuchKey || api.KindOf(err) == api.AccessDenied:
		default:
			return err
		}
	}
	return nil
}

// uploads ends uploads below a prefix that were begun long ago.
func (e *expirer) uploads(ctx context.Context, bucket, prefix string, rules []api.LifecycleRule) error {
	req := &api.ListUploads{Bucket: bucket, Prefix: prefix, Max: api.MaxListObjects}
	for {
		page, err := e.c.ListUploads(ctx, req)
		if err != nil {
			return gone(err)
		}
		for i := range page.Uploads {
			u := &page.Uploads[i]
			if !e.overdue(u, rules) {
				continue
			}
			err := e.c.AbortUpload(ctx, api.UploadRef{Bucket: bucket, Key: u.Key, UploadID: u.UploadID})
			if err != nil && api.KindOf(err) != api.NoSuchUpload {
				return gone(err)
			}
			if err == nil {
				e.met.aborted.Inc()
			}
		}
		e.worker.progress(int64(len(page.Uploads)))
		if !page.Truncated {
			return nil
		}
		req.AfterKey, req.AfterUpload = page.NextKey, page.NextUpload
	}
}

func (e *expirer) overdue(u *api.UploadInfo, rules []api.LifecycleRule) bool {
	for i := range rules {
		r := &rules[i]
		if r.AbortDays > 0 && r.Fits(&api.Subject{Key: u.Key}) && !api.DaysLater(u.Initiated, r.AbortDays).After(e.now()) {
			return true
		}
	}
	return false
}
